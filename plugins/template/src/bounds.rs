//! How long a chain may be.
//!
//! The engine bounds how deep brackets and blocks nest, but a chain of operators, filters or `elif`
//! becomes a tree as deep as the chain is long, and a component's stack is small. No message needs a
//! chain of a hundred links.

use minijinja::machinery::{Token, tokenize};

/// Words and signs between `{{` and `}}` or `{%` and `%}`; a quoted text is one.
const MAX_TOKENS: usize = 500;
/// `elif`s in the whole template.
const MAX_ELIFS: usize = 100;

/// The place of the tag at which a chain becomes too long, and what is wrong with it.
pub(crate) fn excess(template: &str) -> Option<(usize, String)> {
    let (mut tag, mut tokens, mut elifs) = (0, 0, 0);
    // What is no token at all the parser reports, with its reason.
    for (token, span) in tokenize(template, false, crate::syntax()).map_while(Result::ok) {
        match token {
            Token::VariableStart | Token::BlockStart => {
                tag = usize::try_from(span.start_offset).unwrap_or(usize::MAX);
                tokens = 0;
            }
            Token::Ident("elif") => elifs += 1,
            _ => tokens += 1,
        }
        if tokens > MAX_TOKENS {
            return Some((tag, format!("a tag has at most {MAX_TOKENS} words and signs")));
        }
        if elifs > MAX_ELIFS {
            return Some((tag, format!("a template has at most {MAX_ELIFS} `elif`s")));
        }
    }
    None
}
