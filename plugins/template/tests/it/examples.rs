//! The project's own examples: every template is right, and renders for every contact.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dripline_plugin_sdk::{Fields, Renderer};
use template::Template;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn templates(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(example(name)).expect("readable");
    let workflow: toml::Table = toml::from_str(&text).expect("TOML");
    let steps = workflow["steps"].as_array().expect("steps").iter();
    steps.map(|step| step["template"].as_str().expect("a text").to_owned()).collect()
}

fn contacts() -> Vec<Fields> {
    let mut reader = csv::Reader::from_path(example("contacts.csv")).expect("readable");
    let names = reader.headers().expect("a header").clone();
    let contact = |row: csv::StringRecord| names.iter().zip(row.iter()).collect();
    reader.records().map(|row| contact(row.expect("a row"))).collect()
}

#[test]
fn every_example_renders_for_every_contact() {
    let contacts = contacts();
    assert_eq!(contacts.len(), 1_000);
    for name in ["welcome.toml", "flash-sale.toml"] {
        for template in templates(name) {
            Template::check(&template).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            let texts = Template::render(&template, contacts.clone());
            let texts: Vec<_> = texts.into_iter().collect::<Result<_, _>>().expect("rendered");
            for text in &texts {
                assert_eq!(text.trim(), text, "{name}");
                assert!((30..160).contains(&text.chars().count()), "{name}: {text}");
                assert!(!text.contains("  ") && !text.contains('{'), "{name}: {text}");
            }
        }
    }
}

#[test]
fn the_examples_show_what_a_list_really_looks_like() {
    let contacts = contacts();
    let value = |name: &'static str| contacts.iter().map(move |contact| contact.get(name));
    for field in ["first_name", "city", "plan"] {
        assert!(value(field).filter(Option::is_none).count() > 50, "{field} is missing at times");
    }
    let names: String = value("first_name").flatten().collect();
    assert!(names.chars().any(|c| c > '\u{ffff}'), "emoji");
    assert!(names.chars().any(|c| ('\u{c0}'..'\u{250}').contains(&c)), "accents");
    let zones: BTreeSet<_> = value("time_zone").flatten().collect();
    assert_eq!(zones.len(), 23);
}
