//! Answers that are small as long as nobody unpacks them. The door asks for nothing packed, and unpacks nothing.

use std::io::{Read as _, Write as _};

use dripline_plugin_host::egress::{Egress, EgressOptions, WireOutcome};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::answers::{grant, request};
use super::assert_none;
use crate::server::{Behaviour, Server};

const MIB: usize = 1024 * 1024;
/// What one part of a bomb becomes, and how many parts there are: a gzip stream is the sum of its parts (RFC 1952,
/// section 2.2). Four gigabytes in some four million octets.
const PART: usize = 64 * MIB;
const PARTS: usize = 64;

/// How the answer is said to be packed, and what a door that lets so many octets in gives on: all of it as it came, or
/// nothing since it is too large.
pub(super) const ROWS: &[(&str, usize, bool)] = &[
    ("content-encoding: gzip", 8 * MIB, true),
    ("transfer-encoding: gzip", 8 * MIB, true),
    ("content-encoding: gzip, gzip", 8 * MIB, true),
    ("content-encoding: gzip", 256 * 1024, false),
];

fn bomb() -> Vec<u8> {
    let mut part = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; MIB];
    for _ in 0..PART / MIB {
        part.write_all(&zeros).unwrap();
    }
    part.finish().unwrap().repeat(PARTS)
}

#[tokio::test]
async fn what_is_packed_stays_packed() {
    let bomb = bomb();
    assert!(bomb.len() < 8 * MIB, "{}", bomb.len());
    // Beyond the first part, so that it is as good as its word.
    let mut unpacked = MultiGzDecoder::new(&bomb[..]).take(PART as u64 + 1);
    assert_eq!(std::io::copy(&mut unpacked, &mut std::io::sink()).unwrap(), PART as u64 + 1);

    let mut wrong = Vec::new();
    for (header, most, passes) in ROWS {
        let head = format!("HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: {}\r\n\r\n", bomb.len());
        let answer = [head.as_bytes(), &bomb].concat();
        let server = Server::start(Behaviour::AnswerAndClose, answer).await;
        let options = EgressOptions { response_body_bytes: *most, ..EgressOptions::default() };
        let egress = Egress::new(options);
        let outcome = egress.send(&grant(&server.origin()), request(&server.origin())).await;
        let is_right = match &outcome {
            WireOutcome::Response(response) => *passes && response.body == bomb,
            WireOutcome::Uncertain { .. } => !passes,
            WireOutcome::NotSent { .. } => false,
        };
        let asked = server.requests().concat().to_ascii_lowercase();
        if !is_right || asked.contains("accept-encoding: gzip") {
            wrong.push(format!("{header}, {most} octets: {asked}"));
        }
    }
    assert_none(&wrong);
}
