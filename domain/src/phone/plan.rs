//! Numbering plans: where the country's code ends, what is dialled in front of a national number and
//! how long one is. The plans are the `phonenumber` crate's; its own parser is not used, since it
//! takes the first digits of some national numbers for their country's code (0.3.10).

use phonenumber::metadata::{DATABASE, Descriptor};
use phonenumber::{Metadata, Type};

use super::PhoneError;

/// The plan of one region. Regions may share a country code.
#[derive(Clone, Copy)]
pub(super) struct Plan(&'static Metadata);

/// The kinds of numbers that a plan lists, with the lengths and the digits of each.
const KINDS: [Type; 10] = [
    Type::Mobile,
    Type::FixedLine,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

impl Plan {
    /// The plan of a region by its two letters.
    pub(super) fn of_region(region: &str) -> Result<Self, PhoneError> {
        DATABASE
            .by_id(region.trim().to_ascii_uppercase().as_str())
            .map(Self)
            .ok_or_else(|| PhoneError::UnknownRegion(region.to_owned()))
    }

    /// The plan that international digits belong to, and the national number among them. `None` when
    /// they begin with no country's code.
    pub(super) fn of_international(digits: &str) -> Option<(Self, String)> {
        let (plan, rest) = (1..=3).find_map(|length| {
            let (code, rest) = digits.split_at_checked(length)?;
            Some((Self::of_code(code)?, rest))
        })?;
        // People write `+44 (0)20 ..`: the digits of a call from inside, in a number for outside.
        let national = match plan.without_trunk_prefix(rest) {
            Some(stripped) if !plan.knows(rest) && plan.knows(&stripped) => stripped,
            _ => rest.to_owned(),
        };
        Some((plan, national))
    }

    /// The plan and the national number that these digits reach when they are dialled in this
    /// region.
    pub(super) fn dial(self, digits: &str) -> Option<(Self, String)> {
        if let Some(international) = self.without_international_prefix(digits) {
            return Self::of_international(international);
        }
        Some((self, self.national(digits)))
    }

    pub(super) fn country_code(self) -> u16 {
        self.0.country_code()
    }

    /// Compares a national number's length with the plans of all regions that share the code.
    pub(super) fn check_length(self, length: usize) -> Result<(), fn(String) -> PhoneError> {
        let plans = DATABASE.by_code(&self.country_code()).unwrap_or_default();
        let lengths = || plans.iter().flat_map(|plan| lengths(plan));
        match (lengths().min(), lengths().max()) {
            (Some(shortest), _) if length < shortest => Err(PhoneError::TooShort),
            (_, Some(longest)) if length > longest => Err(PhoneError::TooLong),
            // A plan that lists no lengths refuses none.
            (Some(_), _) if !lengths().any(|possible| possible == length) => {
                Err(PhoneError::WrongLength)
            }
            _ => Ok(()),
        }
    }

    /// The main plan of a country code.
    fn of_code(code: &str) -> Option<Self> {
        let plans =
            DATABASE.by_code(&code.parse::<u16>().ok().filter(|_| !code.starts_with('0'))?)?;
        let main = plans.iter().find(|plan| plan.is_main_country_for_code());
        main.or(plans.first()).copied().map(Self)
    }

    /// The national number among digits dialled in the region: as they are if the plan knows them
    /// so, else without what is dialled in front, else without a country code that lacks its plus.
    fn national(self, digits: &str) -> String {
        if self.knows(digits) {
            return digits.to_owned();
        }
        let stripped = self.without_trunk_prefix(digits);
        let bare = digits.strip_prefix(&self.country_code().to_string());
        match (stripped, bare) {
            (Some(stripped), _) if self.knows(&stripped) => stripped,
            (_, Some(bare)) if self.knows(bare) => bare.to_owned(),
            // Plans change faster than programs: an unknown number is still dialled like others.
            (Some(stripped), _) => stripped,
            _ => digits.to_owned(),
        }
    }

    /// Whether the plan has numbers of these digits.
    fn knows(self, national: &str) -> bool {
        kinds(self.0).any(|kind| kind.is_match(national))
    }

    fn without_international_prefix(self, digits: &str) -> Option<&str> {
        let prefix = self.0.international_prefix()?.find(digits)?;
        let rest = &digits[prefix.end()..];
        (prefix.start() == 0 && !rest.starts_with('0')).then_some(rest)
    }

    /// The digits without what is dialled in front of a national number inside the country, and
    /// with what the plan puts in its place.
    fn without_trunk_prefix(self, digits: &str) -> Option<String> {
        let Some(pattern) = self.0.national_prefix_for_parsing() else {
            return digits.strip_prefix(self.0.national_prefix()?).map(str::to_owned);
        };
        let captures = pattern.captures(digits)?;
        let prefix = captures.get(0).filter(|prefix| prefix.start() == 0 && !prefix.is_empty())?;
        let last_group = captures.len() - 1;
        Some(match self.0.national_prefix_transform_rule() {
            Some(rule) if last_group > 0 && captures.get(last_group).is_some() => {
                pattern.replace(digits, rule).into_owned()
            }
            _ => digits[prefix.end()..].to_owned(),
        })
    }
}

fn kinds(plan: &Metadata) -> impl Iterator<Item = &Descriptor> {
    KINDS.iter().filter_map(|kind| plan.descriptors().get(*kind))
}

fn lengths(plan: &Metadata) -> impl Iterator<Item = usize> {
    kinds(plan).flat_map(Descriptor::possible_length).map(|length| usize::from(*length))
}
