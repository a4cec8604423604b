use std::error::Error;
use std::ffi::OsString;
use std::fs;

use dripline_config::{Secret, SecretReference};

fn reference(text: &str) -> SecretReference {
    text.parse().unwrap()
}

#[test]
fn references() {
    for text in ["env:TWILIO_TOKEN", "file:/run/secrets/twilio"] {
        assert_eq!(reference(text).to_string(), text);
        let json = format!("{text:?}");
        assert_eq!(serde_json::to_string(&reference(text)).unwrap(), json);
        assert_eq!(serde_json::from_str::<SecretReference>(&json).unwrap(), reference(text));
    }
    for text in ["", "hunter2", "env:", "env:1A", "env:A-B", "file:", "file:relative", "ENV:A"] {
        let error = text.parse::<SecretReference>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{text}");
        assert!(serde_json::from_value::<SecretReference>(text.into()).is_err());
    }
}

#[test]
fn from_the_environment() {
    let resolve = |value: Option<OsString>| reference("env:TOKEN").resolve_with(|_| value);
    assert_eq!(resolve(Some("hunter2".into())).unwrap().expose(), "hunter2");
    let error = |value| resolve(value).unwrap_err().to_string();
    assert_eq!(error(None), "environment variable TOKEN is not set");
    assert_eq!(error(Some("".into())), "env:TOKEN is empty");
    assert_eq!(error(Some("x".repeat(70_000).into())), "env:TOKEN is larger than 65536 bytes");
}

#[test]
fn from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let reference = reference(&format!("file:{}", path.display()));
    let resolve = || reference.resolve_with(|_| None);

    let missing = resolve().unwrap_err();
    assert_eq!(missing.to_string(), format!("cannot read {}", path.display()));
    assert!(missing.source().is_some());

    for (content, secret) in
        [("hunter2", "hunter2"), ("hunter2\r\n\n", "hunter2"), (" a b \n", " a b ")]
    {
        fs::write(&path, content).unwrap();
        assert_eq!(resolve().unwrap().expose(), secret);
    }
    for (content, end) in [(&b"\n"[..], "is empty"), (b"\xff\xfe", "is not valid UTF-8")] {
        fs::write(&path, content).unwrap();
        assert!(resolve().unwrap_err().to_string().ends_with(end));
    }
    fs::write(&path, "x".repeat(70_000)).unwrap();
    assert!(resolve().unwrap_err().to_string().ends_with("is larger than 65536 bytes"));
}

#[test]
fn a_secret_shows_itself_to_nobody() {
    let secret = Secret::new("hunter2");
    assert_eq!(
        format!("{secret} {secret:?} {:?}", Some(&secret)),
        "*** Secret(***) Some(Secret(***))"
    );
}
