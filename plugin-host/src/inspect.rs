//! What a component says about itself, compared with what the host offers, before any of it runs.

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::error::LoadError;
use crate::manifest::{
    FORM_ENCODED, KEY_LIFETIME, LOOKUP_FINAL_AFTER, Manifest, SettingKind, TOKEN_CLIENT, UNSIGNED,
    named,
};
use crate::outcome::{REASON_CHARS, masked};
use crate::registry::PluginKind;
use crate::wasi;

/// The contract that this host speaks. Plugins of any 0.1.x fit.
pub(crate) const CONTRACT_VERSION: &str = "0.1.2";

const CONTRACT: &str = "dripline:plugin/";

/// A plugin's name stands in routes, steps and file names.
pub(crate) fn name(name: &str) -> Result<(), LoadError> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(()) } else { Err(LoadError::Name { name: name.to_owned() }) }
}

/// What the component exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exports {
    /// The one kind that it is.
    pub(crate) kind: PluginKind,
    /// The version of the contract in the name of that interface.
    pub(crate) contract: String,
    /// Whether it is a carrier that can be asked.
    pub(crate) lookup: bool,
    /// Whether it is a carrier that fetches tokens.
    pub(crate) token: bool,
    /// Whether it is a carrier that reports.
    pub(crate) webhook: bool,
}

/// The one kind that the component exports, and its further abilities.
pub(crate) fn exports(plugin: &str, component: &Component) -> Result<Exports, LoadError> {
    let engine = component.engine();
    let mut kinds = Vec::new();
    let mut names = Vec::new();
    let (mut lookup, mut token, mut webhook) = (false, false, false);
    let component = component.component_type();
    for (name, _) in component.exports(engine) {
        names.push(format!("`{name}`"));
        let Some((interface, version)) = contract_interface(name) else { continue };
        let kind = match interface {
            "renderer" => PluginKind::Renderer,
            "carrier" => PluginKind::Carrier,
            "lookup" | "token" | "webhook" => {
                same_contract(plugin, version)?;
                let ability = match interface {
                    "lookup" => &mut lookup,
                    "token" => &mut token,
                    _ => &mut webhook,
                };
                *ability = true;
                continue;
            }
            // Abilities of later contracts, which this host does not use.
            _ => continue,
        };
        same_contract(plugin, version)?;
        kinds.push((kind, version));
    }
    match kinds[..] {
        [(kind, version)] => {
            let carrier = kind == PluginKind::Carrier;
            Ok(Exports {
                kind,
                contract: version.to_owned(),
                lookup: lookup && carrier,
                token: token && carrier,
                webhook: webhook && carrier,
            })
        }
        _ => Err(LoadError::Exports {
            plugin: plugin.to_owned(),
            exports: if names.is_empty() { "nothing".to_owned() } else { names.join(", ") },
        }),
    }
}

/// That it imports nothing but the contract and the neutral parts of WASI.
pub(crate) fn imports(plugin: &str, component: &Component) -> Result<(), LoadError> {
    let engine = component.engine();
    let mut forbidden = Vec::new();
    for (name, item) in component.component_type().imports(engine) {
        match contract_interface(name) {
            Some((interface, version)) => {
                same_contract(plugin, version)?;
                contract_functions(plugin, interface, &item.ty, engine)?;
            }
            None if wasi::is_allowed(name) => {}
            None => forbidden.push(format!("`{name}`")),
        }
    }
    if forbidden.is_empty() {
        return Ok(());
    }
    Err(LoadError::ForbiddenImports { plugin: plugin.to_owned(), imports: forbidden })
}

/// The interfaces of the contract that it imports functions of, sorted.
pub(crate) fn contract_imports(component: &Component) -> Vec<String> {
    let engine = component.engine();
    let functions = |item: &ComponentItem| match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))),
        _ => false,
    };
    let mut names: Vec<String> = component
        .component_type()
        .imports(engine)
        .filter(|(_, item)| functions(&item.ty))
        .filter_map(|(name, _)| Some(contract_interface(name)?.0.to_owned()))
        .collect();
    names.sort();
    names
}

/// `dripline:plugin/log@0.1.0` as `log` and `0.1.0`.
pub(crate) fn contract_interface(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(CONTRACT)?.split_once('@')
}

fn same_contract(plugin: &str, version: &str) -> Result<(), LoadError> {
    let (track, _) = CONTRACT_VERSION.rsplit_once('.').expect("a version has three parts");
    if version.rsplit_once('.').is_some_and(|(theirs, _)| theirs == track) {
        return Ok(());
    }
    Err(LoadError::ContractVersion {
        plugin: plugin.to_owned(),
        built_for: version.to_owned(),
        host: CONTRACT_VERSION,
    })
}

/// A newer minor version may have added functions; they are named here, rather than left to trap.
fn contract_functions(
    plugin: &str,
    interface: &str,
    item: &ComponentItem,
    engine: &wasmtime::Engine,
) -> Result<(), LoadError> {
    let offered: &[&str] = match interface {
        "log" => &["write"],
        "sign" => &["hmac", "hmac-chain"],
        "verify" => &["hmac", "ed25519", "jwt-hs256", "equal"],
        _ => &[],
    };
    let ComponentItem::ComponentInstance(instance) = item else { return Ok(()) };
    let missing: Vec<String> = instance
        .exports(engine)
        .filter(|(name, item)| {
            matches!(item.ty, ComponentItem::ComponentFunc(_)) && !offered.contains(name)
        })
        .map(|(name, _)| format!("{interface}.{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LoadError::Contract {
        plugin: plugin.to_owned(),
        host: CONTRACT_VERSION,
        text: format!("missing: {}", missing.join(", ")),
    })
}

/// What is wrong with a carrier's manifest. The text quotes the plugin, which may have written anything.
pub(crate) fn wrong_manifest(plugin: &str, text: &str) -> LoadError {
    LoadError::Manifest { plugin: plugin.to_owned(), text: masked(text, REASON_CHARS) }
}

/// That a carrier's manifest makes sense.
pub(crate) fn manifest(plugin: &str, manifest: &Manifest) -> Result<(), LoadError> {
    let wrong = |text: String| Err(wrong_manifest(plugin, &text));
    if manifest.name != plugin {
        return wrong(format!("it calls itself `{}`", manifest.name));
    }
    for (index, setting) in manifest.settings.iter().enumerate() {
        let fits = !setting.name.is_empty()
            && setting.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !fits {
            return wrong(format!("`{}` is no name for a setting", setting.name));
        }
        if manifest.settings[..index].iter().any(|earlier| earlier.name == setting.name) {
            return wrong(format!("the setting `{}` is declared twice", setting.name));
        }
        if setting.secret && setting.default.is_some() {
            return wrong(format!("the secret `{}` has a default", setting.name));
        }
    }
    for origin in &manifest.origins {
        match named(origin) {
            Some(name) => {
                if !manifest.settings.iter().any(|s| s.name == name && !s.secret) {
                    return wrong(format!("the origin `{origin}` names no plain setting"));
                }
            }
            None => match crate::egress::Origin::parse(origin) {
                // Whoever approves it reads what is written, and the door connects to what is meant.
                Ok(meant) if meant.to_string() != *origin => {
                    return wrong(format!("the origin `{origin}` must be written `{meant}`"));
                }
                Ok(_) => {}
                Err(error) => return wrong(error.to_string()),
            },
        }
    }
    for setting in &manifest.settings {
        let kind = manifest.attribute(&format!("setting.{}.type", setting.name));
        let Some(kind) = kind.map(SettingKind::parse) else { continue };
        let Some(kind) = kind else {
            return wrong(format!("the type of the setting `{}` is not known", setting.name));
        };
        if let Some(default) = setting.default.as_deref().filter(|value| !kind.admits(value)) {
            return wrong(format!("the default `{default}` of `{}` is not {kind}", setting.name));
        }
    }
    if let Some(name) = manifest.attribute(UNSIGNED).and_then(named) {
        let is_flag = manifest.setting_kind(name).is_some_and(|kind| kind.admits("true"));
        if !is_flag || manifest.settings.iter().any(|s| s.name == name && s.default.is_some()) {
            return wrong(format!(
                "`{UNSIGNED}` names `{name}`, which is no flag without a default"
            ));
        }
    }
    for name in [KEY_LIFETIME, LOOKUP_FINAL_AFTER] {
        // Of a year, sums of times are still times.
        let fits = |value: &str| value.parse::<u32>().is_ok_and(|s| s <= 365 * 24 * 60 * 60);
        if let Some(value) = manifest.attribute(name).filter(|value| !fits(value)) {
            return wrong(format!("`{value}` as `{name}` is no number of seconds up to a year"));
        }
    }
    if let Some(value) = manifest.attribute(TOKEN_CLIENT).filter(|value| *value != FORM_ENCODED) {
        return wrong(format!("`{value}` as `{TOKEN_CLIENT}` is not `{FORM_ENCODED}`"));
    }
    if let Err(error) = manifest.texts.segments.validate() {
        return wrong(error.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dripline_domain::segment::TextRules;

    use super::*;
    use crate::manifest::{DuplicateClass, SettingSchema};
    use crate::message::Attribute;

    fn described(settings: Vec<SettingSchema>, attributes: &[(&str, &str)]) -> Manifest {
        let attribute = |(name, value): &(&str, &str)| Attribute {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        Manifest {
            name: "acme".to_owned(),
            version: "1".to_owned(),
            settings,
            origins: vec![],
            duplicates: DuplicateClass::Key,
            texts: TextRules::default(),
            attributes: attributes.iter().map(attribute).collect(),
        }
    }

    #[test]
    fn times_in_a_manifest_are_seconds() {
        let check = |name: &str, value: &str, fits: bool| {
            let found = manifest("acme", &described(vec![], &[(name, value)]));
            assert_eq!(found.is_ok(), fits, "{name} = {value}: {found:?}");
        };
        check("key.lifetime-seconds", "10800", true);
        check("lookup.final-after-seconds", "0", true);
        check("anything.else", "3 h", true);
        for value in ["3 h", "-1", "", "31536001"] {
            check("key.lifetime-seconds", value, false);
            check("lookup.final-after-seconds", value, false);
        }
    }

    #[test]
    fn a_client_is_form_encoded_or_not() {
        for (value, fits) in [("form-encoded", true), ("plain", false), ("", false)] {
            let found = manifest("acme", &described(vec![], &[("token.client", value)]));
            assert_eq!(found.is_ok(), fits, "{value}: {found:?}");
        }
    }

    #[test]
    fn an_origin_is_written_as_it_is_connected_to() {
        let check = |origin: &str, written: Option<&str>| {
            let manifest = Manifest { origins: vec![origin.to_owned()], ..described(vec![], &[]) };
            let found = super::manifest("acme", &manifest).map_err(|error| error.to_string());
            match (found, written) {
                (Ok(()), None) => {}
                (Err(text), Some(written)) => {
                    let hint = format!("must be written `{written}`");
                    assert!(text.ends_with(&hint), "{origin}: {text}");
                }
                (found, _) => panic!("{origin}: {found:?}"),
            }
        };
        check("https://api.acme.example", None);
        check("https://api.acme.example:8443", None);
        check("https://api.acme.example/", Some("https://api.acme.example"));
        check("https://API.acme.example:443", Some("https://api.acme.example"));
        // The first letter of the host is a Cyrillic one.
        check("https://\u{430}cme.example", Some("https://xn--cme-5cd.example"));
    }

    #[test]
    fn what_lets_reports_be_unsigned_is_a_flag_that_somebody_has_to_set() {
        let flag = ("setting.unsigned.type", "one-of:true|false");
        let check = |value: &str, kind: Option<(&str, &str)>, default: Option<&str>, fits: bool| {
            let setting = SettingSchema {
                name: "unsigned".to_owned(),
                text: String::new(),
                required: false,
                default: default.map(str::to_owned),
                secret: false,
            };
            let attributes: Vec<_> =
                kind.into_iter().chain([("webhook.unsigned", value)]).collect();
            let found = manifest("acme", &described(vec![setting], &attributes));
            assert_eq!(found.is_ok(), fits, "{value}, {kind:?}, {default:?}: {found:?}");
        };
        check("true", None, None, true);
        check("{unsigned}", Some(flag), None, true);
        check("{unsigned}", Some(flag), Some("true"), false);
        check("{unsigned}", Some(("setting.unsigned.type", "whole")), None, false);
        check("{unsigned}", None, None, false);
        check("{other}", Some(flag), None, false);
    }
}
