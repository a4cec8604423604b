//! What a template reads, and what is wrong with it before any contact has been tried.
//!
//! The engine finds a filter only when it runs it, perhaps in a branch that a single contact takes. So
//! the syntax tree is walked.

use dripline_plugin_sdk::Problem;
use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};
use minijinja::{Environment, Error};

use crate::bounds;
use crate::filters::{FILTERS, TESTS};

pub(crate) fn check(
    environment: &Environment<'_>,
    template: &str,
) -> Result<Vec<String>, Vec<Problem>> {
    if let Some((offset, text)) = bounds::excess(template) {
        return Err(vec![problem(template, offset, text)]);
    }
    let syntax = |error: &Error| {
        let offset = error.range().map_or(template.len(), |range| range.start);
        vec![problem(template, offset, engine_text(error))]
    };
    let parsed = environment.template_from_str(template).map_err(|error| syntax(&error))?;
    let tree = parse(template, "", crate::syntax()).map_err(|error| syntax(&error))?;
    let mut walk = Walk { template, problems: Vec::new() };
    walk.statement(&tree);
    if !walk.problems.is_empty() {
        walk.problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(walk.problems);
    }
    let mut fields: Vec<String> = parsed.undeclared_variables(false).into_iter().collect();
    fields.sort();
    Ok(fields)
}

/// The engine's words about a template's syntax, which quote the template at most.
pub(crate) fn engine_text(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

fn problem(template: &str, offset: usize, text: String) -> Problem {
    let before = template.get(..offset).unwrap_or(template);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Problem {
        line: count(before.matches('\n').count() + 1),
        column: count(before[line_start..].chars().count() + 1),
        text,
    }
}

struct Walk<'a> {
    template: &'a str,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn report(&mut self, span: Span, text: String) {
        let offset = usize::try_from(span.start_offset).unwrap_or(usize::MAX);
        self.problems.push(problem(self.template, offset, text));
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(node) => self.statements(&node.children),
            Stmt::EmitExpr(node) => self.expression(&node.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(node) => {
                self.expression(&node.iter);
                node.filter_expr.iter().for_each(|filter| self.expression(filter));
                self.statements(&node.body);
                self.statements(&node.else_body);
            }
            Stmt::IfCond(node) => {
                self.expression(&node.expr);
                self.statements(&node.true_body);
                self.statements(&node.false_body);
            }
            Stmt::WithBlock(node) => {
                node.assignments.iter().for_each(|(_, value)| self.expression(value));
                self.statements(&node.body);
            }
            Stmt::Set(node) => self.expression(&node.expr),
            Stmt::SetBlock(node) => {
                node.filter.iter().for_each(|filter| self.expression(filter));
                self.statements(&node.body);
            }
            Stmt::AutoEscape(node) => {
                let text = "texts are never escaped; remove `autoescape`".to_owned();
                self.report(node.span(), text);
            }
            Stmt::FilterBlock(node) => {
                self.expression(&node.filter);
                self.statements(&node.body);
            }
            Stmt::Do(node) => self.call(node.span()),
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(node) => {
                self.expression(&node.expr);
                let bounds = [&node.start, &node.stop, &node.step];
                bounds.into_iter().flatten().for_each(|bound| self.expression(bound));
            }
            Expr::UnaryOp(node) => self.expression(&node.expr),
            Expr::BinOp(node) => {
                self.expression(&node.left);
                self.expression(&node.right);
            }
            Expr::Compare(node) => {
                self.expression(&node.expr);
                node.ops.iter().for_each(|operand| self.expression(&operand.expr));
            }
            Expr::IfExpr(node) => {
                self.expression(&node.test_expr);
                self.expression(&node.true_expr);
                node.false_expr.iter().for_each(|other| self.expression(other));
            }
            Expr::Filter(node) => {
                if !FILTERS.contains(&node.name) {
                    let known = FILTERS.join(", ");
                    let text = format!("there is no filter `{}`; there are {known}", node.name);
                    self.report(node.span(), text);
                }
                node.expr.iter().for_each(|value| self.expression(value));
                self.arguments(&node.args);
            }
            Expr::Test(node) => {
                if !TESTS.contains(&node.name) {
                    let known = TESTS.join(", ");
                    let text = format!("there is no test `{}`; there are {known}", node.name);
                    self.report(node.span(), text);
                }
                self.expression(&node.expr);
                self.arguments(&node.args);
            }
            Expr::GetAttr(node) => self.expression(&node.expr),
            Expr::GetItem(node) => {
                self.expression(&node.expr);
                self.expression(&node.subscript_expr);
            }
            Expr::Call(node) => self.call(node.span()),
            Expr::List(node) => node.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(node) => node.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(node) => {
                node.keys.iter().chain(&node.values).for_each(|part| self.expression(part));
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            let (CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value)) = argument;
            self.expression(value);
        }
    }

    fn call(&mut self, span: Span) {
        let text = "a template calls nothing; use a filter, as in `{{ name | upper }}`".to_owned();
        self.report(span, text);
    }
}
