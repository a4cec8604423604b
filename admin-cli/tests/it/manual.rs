use std::path::Path;

use crate::session::Session;

#[test]
fn the_committed_manual_is_fresh() {
    let session = Session::without_database();
    let fresh = session.quiet("markdown-help");
    assert_eq!(fresh.code, 0);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let committed = std::fs::read_to_string(path).expect("docs/cli.md is there");
    assert!(fresh.stdout == committed, "run `dripline markdown-help > docs/cli.md`");
}

#[test]
fn man_page_and_completions_are_made() {
    let session = Session::without_database();
    let man = session.quiet("man");
    assert!(man.stdout.contains(".TH dripline"), "{}", man.stdout);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = session.quiet(&format!("completions {shell}"));
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("enrollment"), "{shell}");
    }
}
