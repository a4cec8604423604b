//! What goes wrong, when, and for whom.
//!
//! A plan is a list of rules; the first that fits a message decides. Chance is drawn from the plan's
//! seed and the message's reference, so that a run can be repeated whatever the order of its requests.
//!
//! ```toml
//! seed = 7
//! latency_ms = [5, 20]        # every answer waits, as long as chance says between the two
//!
//! [[rules]]
//! recipients = "0013"         # numbers that end so; without it, every number
//! attempts = 2                # only the first two requests to each of those numbers
//! fault = "throttle"
//! retry_after_seconds = 1     # without it, the answer says nothing of when to come back
//!
//! [[rules]]
//! probability = 0.02          # without it, always
//! fault = "error-after"
//!
//! [tokens]
//! lifetime_seconds = 2        # 3600 without it
//! uses = 100                  # a token is refused after so many requests
//! only_the_last = true        # a new token ends all those before it; without it, they stay good
//! fault = "error-before"      # no request for a token is answered otherwise: one that does not accept
//!
//! [reports]                   # without it, nothing is reported
//! deliver_to = "127.0.0.1:80" # who is called, whatever host a message's callback names
//! undelivered = "0017"        # numbers that end so get nothing
//! times = 2                   # how often each report is made, 1 without it
//! tries = 100                 # how often one is tried until it is answered with 2xx, 1 without it
//! after_ms = 50               # before each try, 0 without it
//! forged = true               # signs with a stranger's key
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::reports::ReportRules;
use crate::tokens::TokenRules;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `throttle`: 429, or the given status, with or without `Retry-After`. Not accepted.
    Throttle {
        /// 429 or 503.
        status: u16,
        /// The value of `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// `refuse`: 400 with an error code. Not accepted.
    Refuse {
        /// For example 21610.
        code: u32,
    },
    /// `error-before`: 500, not accepted.
    ErrorBefore,
    /// `error-after`: 500, though the message was accepted.
    ErrorAfter,
    /// `timeout-before`: no answer, not accepted.
    TimeoutBefore,
    /// `timeout-after`: no answer, though the message was accepted.
    TimeoutAfter,
    /// `reset-before`: the connection is reset, not accepted.
    ResetBefore,
    /// `reset-after`: the connection is reset, though the message was accepted.
    ResetAfter,
    /// `garbage`: accepted, and answered 201 with a body that is no JSON.
    Garbage,
    /// `truncate`: accepted, and the answer breaks off in the middle of its body.
    Truncate,
    /// `slow-drip`: accepted, and the answer's body comes octet by octet.
    SlowDrip {
        /// The pause between two octets.
        interval: Duration,
    },
}

impl Fault {
    /// The name in a plan and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttle { .. } => "throttle",
            Self::Refuse { .. } => "refuse",
            Self::ErrorBefore => "error-before",
            Self::ErrorAfter => "error-after",
            Self::TimeoutBefore => "timeout-before",
            Self::TimeoutAfter => "timeout-after",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::Garbage => "garbage",
            Self::Truncate => "truncate",
            Self::SlowDrip { .. } => "slow-drip",
        }
    }

    /// Whether the message is accepted all the same.
    pub fn accepts(self) -> bool {
        match self {
            Self::Throttle { .. }
            | Self::Refuse { .. }
            | Self::ErrorBefore
            | Self::TimeoutBefore
            | Self::ResetBefore => false,
            Self::ErrorAfter
            | Self::TimeoutAfter
            | Self::ResetAfter
            | Self::Garbage
            | Self::Truncate
            | Self::SlowDrip { .. } => true,
        }
    }
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultPlanError {
    /// The file cannot be read.
    #[error("read the fault plan `{path}`")]
    Io {
        /// The plan.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a plan.
    #[error("the fault plan is not understood")]
    Format(#[from] toml::de::Error),
    /// The range ends before it begins.
    #[error("`latency_ms` of the fault plan is [least, most]")]
    Latency,
    /// What it says about tokens cannot be.
    #[error("`[tokens]` of the fault plan: {reason}")]
    Tokens {
        /// What is wrong.
        reason: String,
    },
    /// A rule asks for something that cannot be.
    #[error("rule {rule} of the fault plan: {reason}")]
    Rule {
        /// Counts from 1.
        rule: usize,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PlanText {
    seed: u64,
    latency_ms: Option<[u64; 2]>,
    rules: Vec<RuleText>,
    tokens: TokensText,
    reports: Option<ReportRules>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TokensText {
    lifetime_seconds: Option<u64>,
    uses: Option<u32>,
    only_the_last: bool,
    fault: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(default)]
    recipients: String,
    #[serde(default = "always")]
    probability: f64,
    attempts: Option<u32>,
    fault: String,
    status: Option<u16>,
    retry_after_seconds: Option<u64>,
    code: Option<u32>,
    interval_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

#[derive(Debug)]
struct Rule {
    recipients: String,
    probability: f64,
    /// How many requests of each number the rule takes, and how many it has taken.
    attempts: Option<(u32, Mutex<HashMap<String, u32>>)>,
    fault: Fault,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct FaultPlan {
    seed: u64,
    latency_ms: Option<[u64; 2]>,
    rules: Vec<Rule>,
    tokens: TokenRules,
    token_fault: Option<Fault>,
    reports: Option<ReportRules>,
}

impl FaultPlan {
    /// Reads a plan from a file.
    pub fn read(path: &Path) -> Result<Self, FaultPlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FaultPlanError::Io { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Reads a plan from its text.
    pub fn parse(text: &str) -> Result<Self, FaultPlanError> {
        let plan: PlanText = toml::from_str(text)?;
        if plan.latency_ms.is_some_and(|[least, most]| least > most) {
            return Err(FaultPlanError::Latency);
        }
        let rules = plan.rules.into_iter().enumerate().map(|(index, rule)| {
            Rule::new(rule).map_err(|reason| FaultPlanError::Rule { rule: index + 1, reason })
        });
        let rules = rules.collect::<Result<_, _>>()?;
        let (tokens, token_fault) =
            plan.tokens.read().map_err(|reason| FaultPlanError::Tokens { reason })?;
        let (seed, latency_ms, reports) = (plan.seed, plan.latency_ms, plan.reports);
        Ok(Self { seed, latency_ms, rules, tokens, token_fault, reports })
    }

    /// How tokens behave.
    pub fn tokens(&self) -> TokenRules {
        self.tokens
    }

    /// What goes wrong with every request for a token.
    pub fn token_fault(&self) -> Option<Fault> {
        self.token_fault
    }

    /// How the carrier reports on messages, if it does.
    pub fn reports(&self) -> Option<&ReportRules> {
        self.reports.as_ref()
    }

    /// What goes wrong with a message to `recipient`. `identity` is what chance is drawn from: the
    /// message's reference, or whatever else tells it from the others.
    pub fn fault(&self, recipient: &str, identity: &str) -> Option<Fault> {
        let rules = self.rules.iter().enumerate();
        let fits = |(index, rule): &(usize, &Rule)| {
            recipient.ends_with(&rule.recipients)
                && (rule.probability >= 1.0 || self.chance(*index, identity) < rule.probability)
                && rule.takes_another(recipient)
        };
        rules.into_iter().find(fits).map(|(_, rule)| rule.fault)
    }

    /// How long the answer waits.
    pub fn latency(&self, identity: &str) -> Duration {
        let Some([least, most]) = self.latency_ms else { return Duration::ZERO };
        // The range is of milliseconds that a person wrote; rounding cannot matter.
        let span = Duration::from_millis(most - least);
        Duration::from_millis(least) + span.mul_f64(self.chance(usize::MAX, identity))
    }

    /// A number from 0 up to 1 that depends on nothing but its arguments and the seed.
    fn chance(&self, rule: usize, identity: &str) -> f64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        let octets = rule.to_le_bytes().into_iter().chain(identity.bytes());
        for octet in octets {
            hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        // Splitmix's finish, since the last octets have hardly moved the high bits yet.
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((hash ^ (hash >> 31)) >> 32).expect("32 bits");
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}

impl TokensText {
    fn read(self) -> Result<(TokenRules, Option<Fault>), String> {
        let usual = TokenRules::default();
        let lifetime = self.lifetime_seconds.map_or(usual.lifetime, Duration::from_secs);
        let rule = |fault| RuleText {
            recipients: String::new(),
            probability: always(),
            attempts: None,
            fault,
            status: None,
            retry_after_seconds: None,
            code: None,
            interval_ms: None,
        };
        let fault = self.fault.map(|name| fault(&rule(name))).transpose()?;
        if let Some(fault) = fault.filter(|fault| fault.accepts()) {
            return Err(format!("`{}` gives a token", fault.name()));
        }
        let only_the_last = self.only_the_last;
        Ok((TokenRules { lifetime, uses: self.uses, only_the_last }, fault))
    }
}

impl Rule {
    fn new(text: RuleText) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&text.probability) {
            return Err(format!("the probability {} is not between 0 and 1", text.probability));
        }
        let fault = fault(&text)?;
        let attempts = text.attempts.map(|most| (most, Mutex::default()));
        Ok(Self { recipients: text.recipients, probability: text.probability, attempts, fault })
    }

    fn takes_another(&self, recipient: &str) -> bool {
        let Some((most, taken)) = &self.attempts else { return true };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(recipient.to_owned()).or_default();
        *count += 1;
        *count <= *most
    }
}

fn fault(text: &RuleText) -> Result<Fault, String> {
    let allowed: &[&str] = match text.fault.as_str() {
        "throttle" => &["status", "retry_after_seconds"],
        "refuse" => &["code"],
        "slow-drip" => &["interval_ms"],
        _ => &[],
    };
    let given = [
        ("status", text.status.is_some()),
        ("retry_after_seconds", text.retry_after_seconds.is_some()),
        ("code", text.code.is_some()),
        ("interval_ms", text.interval_ms.is_some()),
    ];
    for (name, present) in given {
        if present && !allowed.contains(&name) {
            return Err(format!("`{}` has no `{name}`", text.fault));
        }
    }
    Ok(match text.fault.as_str() {
        "throttle" => {
            let status = text.status.unwrap_or(429);
            if !matches!(status, 429 | 503) {
                return Err(format!("the status of `throttle` is 429 or 503, not {status}"));
            }
            Fault::Throttle { status, retry_after_seconds: text.retry_after_seconds }
        }
        "refuse" => Fault::Refuse { code: text.code.ok_or("`refuse` needs a `code`")? },
        "error-before" => Fault::ErrorBefore,
        "error-after" => Fault::ErrorAfter,
        "timeout-before" => Fault::TimeoutBefore,
        "timeout-after" => Fault::TimeoutAfter,
        "reset-before" => Fault::ResetBefore,
        "reset-after" => Fault::ResetAfter,
        "garbage" => Fault::Garbage,
        "truncate" => Fault::Truncate,
        "slow-drip" => {
            Fault::SlowDrip { interval: Duration::from_millis(text.interval_ms.unwrap_or(100)) }
        }
        unknown => return Err(format!("there is no fault `{unknown}`")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> FaultPlan {
        FaultPlan::parse(text).expect("a plan")
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let plan = plan(
            r#"
            [[rules]]
            recipients = "13"
            attempts = 2
            fault = "throttle"
            retry_after_seconds = 3
            [[rules]]
            recipients = "3"
            fault = "reset-after"
            "#,
        );
        let throttle = Fault::Throttle { status: 429, retry_after_seconds: Some(3) };
        assert_eq!(plan.fault("+113", "a"), Some(throttle));
        assert_eq!(plan.fault("+113", "b"), Some(throttle));
        assert_eq!(plan.fault("+113", "c"), Some(Fault::ResetAfter));
        assert_eq!(plan.fault("+213", "d"), Some(throttle), "each number has its own count");
        assert_eq!(plan.fault("+112", "e"), None);
    }

    #[test]
    fn chance_is_fair_repeatable_and_differs_by_seed() {
        let text = |seed: u32| {
            format!("seed = {seed}\n[[rules]]\nprobability = 0.25\nfault = \"garbage\"")
        };
        let hits = |plan: &FaultPlan| -> Vec<bool> {
            (0..10_000).map(|n| plan.fault("+1", &format!("ref-{n}-1")).is_some()).collect()
        };
        let first = hits(&plan(&text(1)));
        assert_eq!(first, hits(&plan(&text(1))));
        assert_ne!(first, hits(&plan(&text(2))));
        let count = first.iter().filter(|hit| **hit).count();
        assert!((2_300..2_700).contains(&count), "{count} of 10,000 at a quarter");
    }

    #[test]
    fn latency_stays_in_its_range() {
        let plan = plan("latency_ms = [5, 20]");
        for n in 0..1_000 {
            let latency = plan.latency(&n.to_string()).as_micros();
            assert!((5_000..20_000).contains(&latency), "{latency}");
        }
        assert_eq!(FaultPlan::default().latency("x"), Duration::ZERO);
    }

    #[test]
    fn tokens_have_rules_of_their_own() {
        let (few, usual) = (plan("[tokens]\nuses = 3\nfault = \"error-before\""), plan(""));
        assert_eq!((few.tokens().uses, few.tokens().lifetime.as_secs()), (Some(3), 3_600));
        assert_eq!(few.token_fault(), Some(Fault::ErrorBefore));
        assert_eq!((usual.tokens(), usual.token_fault()), (TokenRules::default(), None));
        assert_eq!(plan("[tokens]\nlifetime_seconds = 2").tokens().lifetime.as_secs(), 2);
        assert!(plan("[tokens]\nonly_the_last = true").tokens().only_the_last);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = FaultPlan::parse(text).expect_err(text);
            assert_eq!(error.to_string(), expected);
        };
        check("[[rules]]\nfault = \"oops\"", "rule 1 of the fault plan: there is no fault `oops`");
        check("[[rules]]\nfault = \"refuse\"", "rule 1 of the fault plan: `refuse` needs a `code`");
        check(
            "[[rules]]\nfault = \"garbage\"\ncode = 1",
            "rule 1 of the fault plan: `garbage` has no `code`",
        );
        check(
            "[[rules]]\nfault = \"garbage\"\nprobability = 2",
            "rule 1 of the fault plan: the probability 2 is not between 0 and 1",
        );
        check("latency_ms = [2, 1]", "`latency_ms` of the fault plan is [least, most]");
        check("sede = 1", "the fault plan is not understood");
        check(
            "[tokens]\nfault = \"reset-after\"",
            "`[tokens]` of the fault plan: `reset-after` gives a token",
        );
    }
}
