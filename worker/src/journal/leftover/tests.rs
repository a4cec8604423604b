use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use dripline_domain::delivery::{AttemptOutcome, Reason};

use super::*;
use crate::journal::{Journal, JournalOptions};

const OURS: Uuid = Uuid::from_u128(1);
const THEIRS: Uuid = Uuid::from_u128(2);

fn options(directory: &tempfile::TempDir) -> JournalOptions {
    JournalOptions { directory: directory.path().join("journal"), max_bytes: 4 * 1024 }
}

fn accepted(reference: &str) -> AttemptOutcome {
    AttemptOutcome::Accepted { carrier_reference: Some(reference.to_owned()) }
}

/// The journals of an installation that a new worker would deal with. Lets go of them again.
fn found(options: &JournalOptions, installation_id: Uuid) -> Vec<(String, Vec<i64>, usize)> {
    let found = leftovers(&options.directory, installation_id).unwrap();
    let describe = |leftover: Leftover| {
        let ended = leftover.ended.iter().map(|ended| ended.delivery_id.0).collect();
        (leftover.worker.clone(), ended, leftover.unended)
    };
    found.map(|leftover| describe(leftover.unwrap())).collect()
}

fn files(options: &JournalOptions) -> Vec<String> {
    let entries = fs::read_dir(&options.directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A journal with two ended attempts, a settled one and one without an end, whose thread has ended as
/// with its process.
async fn leave(options: &JournalOptions, installation_id: Uuid, worker: &str) {
    let journal = Journal::open(options, installation_id, worker).unwrap();
    journal.start((1..=4).map(|id| (DeliveryId(id), 1))).await;
    for id in 1..=3 {
        journal.end(DeliveryId(id), 1, &accepted("SM")).await;
    }
    journal.settled([(DeliveryId(2), 1)]);
    journal.close().await;
}

#[tokio::test]
async fn what_is_open_is_found_by_the_same_installation_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    leave(&options, OURS, "host.example.com-1-a").await;
    assert_eq!(found(&options, THEIRS), []);
    let expected = [("host.example.com-1-a".to_owned(), vec![1, 3], 1)];
    assert_eq!(found(&options, OURS), expected);
    // Nothing was removed by looking.
    assert_eq!(found(&options, OURS), expected);
    for leftover in leftovers(&options.directory, OURS).unwrap() {
        leftover.unwrap().remove().unwrap();
    }
    assert_eq!(files(&options), [""; 0]);
}

#[tokio::test]
async fn a_journal_is_private_and_a_living_one_is_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let journal = Journal::open(&options, OURS, "living").unwrap();
    journal.start([(DeliveryId(1), 1)]).await;
    journal.end(DeliveryId(1), 1, &accepted("SM")).await;
    assert_eq!(found(&options, OURS), []);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&options.directory), 0o700);
    assert_eq!(mode(&options.directory.join("living.journal")), 0o600);
    journal.settled([(DeliveryId(1), 1)]);
    journal.close().await;
    assert_eq!(files(&options), [""; 0], "nothing was open");
}

#[tokio::test]
async fn a_directory_of_others_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    fs::create_dir(&options.directory).unwrap();
    fs::set_permissions(&options.directory, fs::Permissions::from_mode(0o770)).unwrap();
    let error = Journal::open(&options, OURS, "w").unwrap_err();
    assert!(matches!(error, JournalError::NotPrivate { .. }), "{error}");
}

#[tokio::test]
async fn a_journal_stays_small_and_keeps_what_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let journal = Journal::open(&options, OURS, "busy").unwrap();
    let path = options.directory.join("busy.journal");
    journal.start([(DeliveryId(1), 1), (DeliveryId(2), 1)]).await;
    journal.end(DeliveryId(1), 1, &accepted("SM1")).await;
    let mut largest = 0;
    for id in 100..1_100 {
        journal.start([(DeliveryId(id), 1)]).await;
        journal.end(DeliveryId(id), 1, &accepted("SM")).await;
        journal.settled([(DeliveryId(id), 1)]);
        largest = largest.max(fs::metadata(&path).unwrap().len());
    }
    // One write more than the limit, at most.
    assert!(largest < options.max_bytes + 1_024, "{largest}");
    journal.close().await;
    assert_eq!(files(&options), ["busy.journal"]);
    assert_eq!(found(&options, OURS), [("busy".to_owned(), vec![1], 1)]);
}

#[tokio::test]
async fn torn_and_spoiled_lines_cost_only_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    leave(&options, OURS, "torn").await;
    let path = options.directory.join("torn.journal");
    let whole = fs::read(&path).unwrap();
    // The last record is the one that settled the second attempt.
    fs::write(&path, &whole[..whole.len() - 2]).unwrap();
    assert_eq!(found(&options, OURS), [("torn".to_owned(), vec![1, 2, 3], 1)]);
    // A broken line in the middle, and what was written behind it.
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\n\x00\xff nonsense\n").unwrap();
    let mut line = Vec::new();
    let outcome = AttemptOutcome::Refused(Reason::new("code", "text"));
    Record::End(Ended { delivery_id: DeliveryId(4), attempt: 1, outcome }).write_to(&mut line);
    file.write_all(&line).unwrap();
    assert_eq!(found(&options, OURS), [("torn".to_owned(), vec![1, 2, 3, 4], 0)]);
}

#[tokio::test]
async fn what_nobody_can_read_is_put_aside_and_what_was_unfinished_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    leave(&options, OURS, "good").await;
    for (name, content) in [
        ("empty.journal", ""),
        ("garbage.journal", "garbage\n"),
        ("half.journal.new", "whatever"),
        ("notes.txt", "somebody's"),
    ] {
        fs::write(options.directory.join(name), content).unwrap();
    }
    assert_eq!(found(&options, OURS).len(), 1);
    let expected =
        ["empty.journal.unreadable", "garbage.journal.unreadable", "good.journal", "notes.txt"];
    assert_eq!(files(&options), expected);
}

#[test]
fn no_directory_is_no_journals() {
    let directory = tempfile::tempdir().unwrap();
    let none = leftovers(&directory.path().join("none"), OURS).unwrap();
    assert_eq!(none.count(), 0);
}
