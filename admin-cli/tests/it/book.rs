//! Workflow files with mistakes: each is shown where it stands.

use crate::session::{Session, assert_transcript};

/// Files that `workflow create` refuses.
const WRONG: &[(&str, &str)] = &[
    ("syntax", "name = \"x\nsteps = 1\n"),
    ("two-syntax", "name = \"x\"\nname = \"y\"\n[[steps]\n"),
    ("empty", ""),
    ("no-steps", "name = \"x\"\nsteps = []\n"),
    ("steps-is-a-table", "name = \"x\"\n[steps]\nroute = \"main\"\n"),
    ("blank", "name = \" \"\n\n[[steps]]\nroute = \"main\"\ntemplate = \"\"\n"),
    (
        "unknown-keys",
        "nmae = \"x\"\nname = \"x\"\n\n[[steps]]\nroute = \"main\"\ntempalte = \"Hi\"\n\
         template = \"Hi\"\nexpires = \"1h\"\n",
    ),
    (
        "kinds",
        "name = 7\nsurplus = \"maybe\"\n\n[[steps]]\nroute = true\ntemplate = [\"Hi\"]\nafter = 60\n\
         at = 2026-01-01\ndays = \"mon\"\n",
    ),
    (
        "timing",
        "name = \"x\"\n\n[[steps]]\nroute = \"main\"\ntemplate = \"Hi\"\nafter = \"soon\"\n\
         at = \"25:00\"\ndays = [\"mon\", \"someday\"]\nexpires_after = \"0s\"\n\n[[steps]]\n\
         route = \"main\"\ntemplate = \"Hi\"\nafter = \"1500ms\"\ndays = []\nexpires_after = \"20y\"\n",
    ),
    (
        "limits",
        "name = \"x\"\n\n[[steps]]\nroute = \"main\"\ntemplate = \"Hi\"\nafter = \"1500ms\"\n\
         expires_after = \"0s\"\n\n[[steps]]\nroute = \" main\"\ntemplate = \"Hi\"\nafter = \"20y\"\n",
    ),
    (
        "names",
        "name = \"x\"\n\n[[steps]]\nroute = \"mian\"\nrenderer = \"templat\"\ntemplate = \"Hi\"\n\n\
         [[steps]]\nroute = \"somewhere\"\ntemplate = \"Hi\"\n",
    ),
    (
        "template",
        "name = \"x\"\n\n[[steps]]\nroute = \"main\"\ntemplate = \"\"\"\nHello\n  {{ name \n\"\"\"\n\n\
         [[steps]]\nroute = \"main\"\ntemplate = \"a\\tb\\u00e9 {% if %}\"\n",
    ),
    ("terminal", "name = \"x\u{202e}\"\n\u{9b}31m = 1\n"),
];

#[tokio::test]
async fn every_mistake_is_shown_where_it_stands() {
    let mut session = Session::furnished().await;
    for (name, content) in WRONG {
        session.file(&format!("{name}.toml"), content);
        session.run(&format!("workflow create --file {name}.toml"));
    }
    session.file("latin1.toml", b"name = \"x\"\n# caf\xe9\n");
    session.run("workflow create --file latin1.toml");
    session.run("workflow list");
    assert_transcript!(session);
}
