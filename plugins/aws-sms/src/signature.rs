//! AWS' [signature of version 4], with the host's keyed hashes: the secret never enters the plugin.
//!
//! [signature of version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

use dripline_plugin_sdk::{Failure, Hash, Request, Settings, clock, encoding, sign};
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

/// Seconds since 1970 as `20261126` and `20261126T104500Z`. The day by Howard Hinnant's [algorithm].
///
/// [algorithm]: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
fn timestamp(seconds: u64) -> (String, String) {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let date_of_month = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let date = format!("{year:04}{month:02}{date_of_month:02}");
    let time = format!("{date}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60);
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_wants_them() {
        let check = |seconds, expected: &str| assert_eq!(timestamp(seconds).1, expected);
        check(0, "19700101T000000Z");
        check(951_782_399, "20000228T235959Z");
        check(951_782_400, "20000229T000000Z");
        check(1_795_348_800, "20261122T120000Z");
        check(4_107_542_399, "21000228T235959Z");
        check(4_107_542_400, "21000301T000000Z");
    }
}
