//! The longest texts that a carrier's manifest allows, which it must turn into requests as well: by then they are paid
//! for.

use std::num::NonZeroU32;

use dripline_domain::segment::TextRules;

use crate::Check;
use crate::carrier::{Subject, secrets_of};
use crate::cases::{CarrierFile, Cases, Map, Message};

/// A letter of GSM-7, one of UCS-2, and one that is two characters and four octets.
const LETTERS: [char; 3] = ['x', 'ж', '🐳'];

impl Subject<'_> {
    /// Every case's message with the longest texts instead of its own. Nothing where the manifest gives no number of
    /// characters.
    pub(crate) async fn longest_texts(&self, files: &[Cases<CarrierFile>]) -> Option<Check> {
        let rules = &self.manifest.texts;
        let most = rules.max_characters?;
        let mut problems = Vec::new();
        for (case, settings, secrets, message) in messages(files) {
            for text in LETTERS.into_iter().filter_map(|letter| longest(rules, most, letter)) {
                let characters = text.encode_utf16().count();
                let message = Message { text, ..message.clone() };
                if let Err(problem) = self.is_built(settings, secrets, &message).await {
                    problems.push(format!("{case}, with {characters} characters: {problem}"));
                    break;
                }
            }
        }
        let case = "a text of as many characters as it takes".to_owned();
        Some(Check { file: None, case, problems })
    }

    async fn is_built(
        &self,
        settings: &Map,
        secrets: &Map,
        message: &Message,
    ) -> Result<(), String> {
        let values = self.canaries.values(secrets);
        let secrets = secrets_of(&values)?;
        let request = self
            .build(settings, &secrets, &values, message)
            .await?
            .map_err(|failure| format!("it is refused: {}", failure.text))?;
        self.may_leave(settings, &secrets, request)
    }
}

/// The name, settings, secrets and message of each case that becomes a request for a message.
fn messages(files: &[Cases<CarrierFile>]) -> impl Iterator<Item = (&str, &Map, &Map, &Message)> {
    let cases =
        files.iter().flat_map(|file| file.content.cases.iter().map(move |case| (file, case)));
    cases.filter(|(_, case)| case.request.is_some() && !case.fetch && case.question.is_none()).map(
        |(Cases { content: file, .. }, case)| {
            let settings = case.settings.as_ref().unwrap_or(&file.settings);
            let secrets = case.secrets.as_ref().unwrap_or(&file.secrets);
            let message = case.message.as_ref().unwrap_or(&file.message);
            (&*case.name, settings, secrets, message)
        },
    )
}

/// The longest text of this letter that the host would let through, if it lets any; of `most` characters, unless there
/// would be more segments than the carrier takes.
fn longest(rules: &TextRules, most: NonZeroU32, letter: char) -> Option<String> {
    let text = |letters: u32| -> String { (0..letters).map(|_| letter).collect() };
    let segments = &rules.segments;
    // Every letter is one unit at least, and no segment has more of them than an only one.
    let units = u32::from(segments.gsm7_single.max(segments.ucs2_single));
    let beyond = most.get().min(units * u32::from(segments.max_segments)) + 1;
    let (mut taken, mut refused) = (0, beyond);
    while refused - taken > 1 {
        let middle = taken.midpoint(refused);
        match rules.measure(&text(middle)) {
            Ok(_) => taken = middle,
            Err(_) => refused = middle,
        }
    }
    (taken > 0).then(|| text(taken))
}

#[cfg(test)]
mod tests {
    use dripline_domain::segment::{Encodings, SegmentRules};

    use super::*;

    #[test]
    fn the_longest_text_is_the_last_that_the_host_lets_through() {
        let check = |most, encodings, max_segments, expected: [Option<usize>; 3]| {
            let segments = SegmentRules { max_segments, ..SegmentRules::default() };
            let most = NonZeroU32::new(most).expect("a number from 1");
            let rules = TextRules { segments, encodings, max_characters: Some(most) };
            let found = LETTERS.map(|letter| Some(longest(&rules, most, letter)?.chars().count()));
            assert_eq!(found, expected, "{rules:?}");
        };
        check(40, Encodings::Both, 1, [Some(40), Some(40), Some(20)]);
        check(1, Encodings::Both, 1, [Some(1), Some(1), None]);
        check(1_600, Encodings::Gsm7Only, 10, [Some(1_530), None, None]);
        check(1_600, Encodings::Ucs2Only, 10, [Some(670), Some(670), Some(330)]);
        check(1_600, Encodings::Both, 255, [Some(1_600), Some(1_600), Some(800)]);
    }
}
