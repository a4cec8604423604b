//! The question, asked on a real terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::session::{Done, Session, read};

/// Runs a command on a terminal of its own, and types each answer when its question has appeared.
fn on_terminal(session: &Session, arguments: &str, answers: &[(&str, &str)]) -> (Done, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal can be made");
    grantpt(&master).expect("the terminal can be granted");
    unlockpt(&master).expect("the terminal can be unlocked");
    let name = ptsname(&master, Vec::new()).expect("the terminal has a name");
    let name = name.into_string().expect("a terminal's name is UTF-8");
    let open = || File::options().read(true).write(true).open(&name).expect("the terminal opens");
    let child = session
        .command(arguments)
        .stdin(Stdio::from(open()))
        .stdout(Stdio::piped())
        .stderr(Stdio::from(open()))
        .spawn()
        .expect("the command starts");
    let mut keyboard = File::from(master.try_clone().expect("the terminal can be shared"));
    let screen = watch(master);
    let mut shown = String::new();
    for (question, answer) in answers {
        while !shown.contains(question) {
            let text = screen.recv_timeout(Duration::from_mins(1));
            shown.push_str(&text.unwrap_or_else(|_| panic!("no {question:?} in {shown:?}")));
        }
        keyboard.write_all(answer.as_bytes()).expect("the terminal takes input");
    }
    let done = read(child.wait_with_output().expect("the command ends"));
    // The channel closes when nobody has the terminal open any more, and not before everything that
    // was shown has been read, however long the machine takes for it.
    loop {
        match screen.recv_timeout(Duration::from_mins(1)) {
            Ok(text) => shown.push_str(&text),
            Err(RecvTimeoutError::Disconnected) => return (done, shown),
            Err(RecvTimeoutError::Timeout) => panic!("the terminal is still open after {shown:?}"),
        }
    }
}

fn watch(master: OwnedFd) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut master = File::from(master);
        let mut buffer = [0; 4096];
        // An error is how Linux says that nobody has the terminal open any more.
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[tokio::test]
async fn no_is_the_default_answer() {
    let session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    for answer in ["\r", "n", "\u{1b}"] {
        let (done, shown) =
            on_terminal(&session, "workflow pause welcome", &[("Pause `welcome`?", answer)]);
        assert_eq!(done.code, 4, "{shown}");
        assert_eq!(done.stdout, "");
        assert!(shown.contains("3 contacts"), "{shown}");
        assert!(shown.contains("not confirmed: nothing was changed"), "{shown}");
    }
    let listed = session.quiet("enrollment list --live true --output json").json();
    assert_eq!(listed["enrollments"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn yes_does_it() {
    let session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    let (done, shown) =
        on_terminal(&session, "workflow pause welcome --output json", &[("Pause `welcome`?", "y")]);
    assert_eq!(done.code, 0, "{shown}");
    assert_eq!(done.json()["receipt"]["contacts"], 3);
}

/// An editor that replaces the text of the file it is given.
fn editor(session: &Session, script: &str) {
    session.file("editor.sh", format!("#!/bin/sh\n{script}\n"));
}

#[tokio::test]
async fn an_editor_changes_a_workflow() {
    let mut session = Session::furnished().await;
    session.environment("EDITOR", "sh editor.sh");
    editor(&session, "sed -i 's/How is it going/How are you/' \"$1\"");
    let (done, shown) = on_terminal(&session, "workflow edit welcome", &[]);
    assert_eq!(done.code, 0, "{shown}");
    assert!(done.stdout.contains("changed workflow `welcome` (revision 2)"), "{}", done.stdout);
    let (done, _) = on_terminal(&session, "workflow edit welcome", &[]);
    assert!(done.stdout.contains("stays as it is"), "{}", done.stdout);
    let exported = session.quiet("workflow export welcome").stdout;
    assert!(exported.contains("How are you?"), "{exported}");
}

#[tokio::test]
async fn a_wrong_edit_can_be_put_right_or_kept() {
    let mut session = Session::furnished().await;
    session.environment("EDITOR", "sh editor.sh");
    // Wrong the first time, right the second.
    let script = "if grep -q nowhere \"$1\"; then sed -i 's/nowhere/main/; s/fail/charge/' \"$1\"; \
                  else sed -i 's/\"main\"/\"nowhere\"/' \"$1\"; fi";
    editor(&session, script);
    let (done, shown) = on_terminal(&session, "workflow edit welcome", &[("Edit it again?", "y")]);
    assert!(shown.contains("there is no route `nowhere`"), "{shown}");
    assert_eq!(done.code, 0, "{shown}");
    editor(&session, "echo 'name = 1' > \"$1\"");
    let (done, shown) = on_terminal(&session, "workflow edit welcome", &[("Edit it again?", "n")]);
    assert_eq!(done.code, 1, "{shown}");
    assert!(shown.contains("what you wrote is kept in"), "{shown}");
    editor(&session, "exit 7");
    let (done, shown) = on_terminal(&session, "workflow edit welcome", &[]);
    assert_eq!(done.code, 1, "{shown}");
    let unchanged = session.quiet("workflow export welcome").stdout;
    assert!(unchanged.contains("How is it going?"), "{unchanged}");
}
