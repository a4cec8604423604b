//! The corpus of harm: components, requests and answers that try to hurt the host, to tell secrets, or to
//! reach what they may not. Each row is one; it must end in the error that stands beside it, and the host
//! must go on.
//!
//! What one row costs beyond its deadline, and what it costs its neighbours, is measured by
//! `cargo xtask bench -- hostile`, since tests do not look at the time.

mod abi;
mod abilities;
mod answers;
mod bombs;
mod exports;
mod rebinding;
mod requests;

/// Panics with every row that did not end as it should.
#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_corpus_is_as_large_as_we_say() {
    let rows = [
        abi::ROWS.len(),
        abilities::ROWS,
        answers::ROWS.len(),
        bombs::ROWS.len(),
        exports::LOADING.len(),
        exports::BUILDING.len(),
        exports::READING.len(),
        exports::RENDERING.len(),
        rebinding::ROWS.len(),
        requests::FORBIDDEN.len(),
        requests::REFUSED_ADDRESSES.len(),
    ];
    assert!(rows.iter().sum::<usize>() >= 240, "{rows:?}");
}
