//! AWS' [signature of version 4], with the host's keyed hashes: the secret never enters the plugin.
//!
//! [signature of version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

use dripline_plugin_sdk::clock::{self, Utc};
use dripline_plugin_sdk::{Failure, Hash, Request, Settings, encoding, sign};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "sms-voice";

/// Signs a request to the path `/` of `base`, without a query: its body and all of its headers.
pub(crate) fn sign(settings: &Settings, base: &str, request: Request) -> Result<Request, Failure> {
    let region = settings.require("region")?;
    let key_id = settings.require("access_key_id")?;
    let (date, time) = timestamp(clock::now_seconds());
    // The host sets this header itself, from the same URL.
    let host = base.split_once("://").map_or(base, |(_, host)| host);

    let mut headers = vec![("host".to_owned(), host.to_owned())];
    headers.push(("x-amz-date".to_owned(), time.clone()));
    headers.extend(request.headers.iter().cloned());
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines = headers
        .iter()
        .fold(String::new(), |lines, (name, value)| lines + name + ":" + value + "\n");
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hash(&request.body));

    let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let steps = [
        date.as_bytes(),
        region.as_bytes(),
        SERVICE.as_bytes(),
        b"aws4_request",
        to_sign.as_bytes(),
    ];
    let signature = sign::hmac_chain(Hash::Sha256, "AWS4", "secret_access_key", &steps)?;
    let authorization = format!(
        "{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={}",
        encoding::hex(&signature)
    );
    Ok(request.header("x-amz-date", time).header("authorization", authorization))
}

fn hash(octets: &[u8]) -> String {
    encoding::hex(&Sha256::digest(octets))
}

/// Seconds since 1970 as `20261126` and `20261126T104500Z`.
fn timestamp(seconds: u64) -> (String, String) {
    let Utc { year, month, day, hour, minute, second } = Utc::of(seconds);
    let date = format!("{year:04}{month:02}{day:02}");
    let time = format!("{date}T{hour:02}{minute:02}{second:02}Z");
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_wants_them() {
        let check = |seconds, expected: &str| assert_eq!(timestamp(seconds).1, expected);
        check(0, "19700101T000000Z");
        check(1_795_348_800, "20261122T120000Z");
    }
}
