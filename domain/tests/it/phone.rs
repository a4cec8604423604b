use dripline_domain::phone::Phone;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, region: Option<&str>, expected: Result<&str, &str>) {
    let parsed = Phone::parse(text, region).map(|phone| phone.to_string());
    let parsed = parsed.as_deref().map_err(ToString::to_string);
    assert_eq!(parsed, expected.map_err(str::to_owned), "{text:?}");
}

#[test]
fn international() {
    for text in [
        "+39 333 123 4567",
        "+393331234567",
        " +39-333-1234567 ",
        "+39 (333) 123.45.67",
        "+39/333/1234567",
        "\u{202a}+39\u{a0}333\u{a0}123\u{2011}4567\u{202c}",
        "\u{feff}+39\t333\u{2009}1234567\u{200b}",
        "＋３９３３３１２３４５６７",
        "+٣٩٣٣٣١٢٣٤٥٦٧",
        "tel:+39-333-1234567",
        "TEL:+39 333 1234567",
    ] {
        check(text, None, Ok("+393331234567"));
        check(text, Some("US"), Ok("+393331234567"));
    }
    check("+44 (0)20 7946 0958", None, Ok("+442079460958"));
    check("+1 (212) 555-0123", None, Ok("+12125550123"));
    // The zero of an Italian landline is part of the number.
    check("+39 06 1234567", None, Ok("+39061234567"));
    check("+1 500 555 0006", None, Ok("+15005550006"));
    // It may begin like what is dialled in front of it inside the country.
    check("+7 812 345 67 89", None, Ok("+78123456789"));
    check("+7 8 912 345 67 89", None, Ok("+79123456789"));
    check("+54 9 11 2345 6789", None, Ok("+5491123456789"));
    check("+852 5123 4567", None, Ok("+85251234567"));
    check("+598 94 231 234", None, Ok("+59894231234"));
}

#[test]
fn national() {
    check("333 123 4567", Some("IT"), Ok("+393331234567"));
    check("333 123 4567", Some(" it "), Ok("+393331234567"));
    check("0039 333 123 4567", Some("IT"), Ok("+393331234567"));
    check("011 39 333 123 4567", Some("US"), Ok("+393331234567"));
    check("(212) 555-0123", Some("US"), Ok("+12125550123"));
    check("1 212 555 0123", Some("US"), Ok("+12125550123"));
    check("020 7946 0958", Some("GB"), Ok("+442079460958"));
    check("06 1234567", Some("IT"), Ok("+39061234567"));
    // A national number may begin like its country's code.
    check("393 123 4567", Some("IT"), Ok("+393931234567"));
    check("39 333 123 4567", Some("IT"), Ok("+393331234567"));
    check("8 (912) 345-67-89", Some("RU"), Ok("+79123456789"));
    check("912 345-67-89", Some("RU"), Ok("+79123456789"));
    // What a country's plan puts in the place of what is dialled in front.
    check("011 15 2345-6789", Some("AR"), Ok("+5491123456789"));
    check("0 15 11 91234-5678", Some("BR"), Ok("+5511912345678"));
    check("322 1234", Some("BS"), Ok("+12423221234"));
    check("1 242 322 1234", Some("US"), Ok("+12423221234"));
    check("06 20 123 4567", Some("HU"), Ok("+36201234567"));
}

#[test]
fn refused() {
    check("", None, Err("the phone number is empty"));
    check(" \u{a0}", None, Err("the phone number is empty"));
    check("+", None, Err("`+` is too short for a phone number of its country"));
    check(
        "333 123 4567",
        None,
        Err(
            "`333 123 4567` has no country code; write it as `+<country code><number>` or give a default region",
        ),
    );
    check("333", Some("XX"), Err("`XX` is not a region; write two letters such as `IT` or `US`"));
    check(
        "333",
        Some("Italy"),
        Err("`Italy` is not a region; write two letters such as `IT` or `US`"),
    );
    check("+999 123 4567", None, Err("`+999 123 4567` begins with no known country code"));
    check("+39 33", None, Err("`+39 33` is too short for a phone number of its country"));
    check(
        "+1 212 555 01234",
        None,
        Err("`+1 212 555 01234` is too long for a phone number of its country"),
    );
    check(
        "+39 1234567890123456",
        None,
        Err("`+39 1234567890123456` is too long for a phone number of its country"),
    );
    check(
        "+1 212 555 0123 ext. 4",
        None,
        Err("`+1 212 555 0123 ext. 4` has an extension, and a text message cannot be sent to one"),
    );
    check(
        "+1 212 555 0123 x4",
        None,
        Err("`+1 212 555 0123 x4` has an extension, and a text message cannot be sent to one"),
    );
    check(
        "+39 333 12O 4567",
        None,
        Err("`+39 333 12O 4567` has `O` at character 11, which is not part of a phone number"),
    );
    check(
        "anna@example.org",
        Some("IT"),
        Err("`anna@example.org` has `a` at character 1, which is not part of a phone number"),
    );
    check(
        "+39 333 +1234567",
        None,
        Err("`+39 333 +1234567` has `+` at character 9, which is not part of a phone number"),
    );
}

#[test]
fn stored_numbers() {
    assert_eq!(Phone::from_e164("+393331234567").unwrap().as_str(), "+393331234567");
    for text in ["", "+", "393331234567", "+0393331234567", "+39 333", "+1234567890123456", "+1a"] {
        assert!(Phone::from_e164(text).is_err(), "{text}");
    }
    let phone = Phone::from_e164("+393331234567").unwrap();
    assert_eq!(serde_json::to_string(&phone).unwrap(), "\"+393331234567\"");
    assert_eq!(serde_json::from_str::<Phone>("\"+393331234567\"").unwrap(), phone);
    assert!(serde_json::from_str::<Phone>("\"333\"").is_err());
}

proptest! {
    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = Phone::parse(&text, None);
        let _ = Phone::parse(&text, Some("IT"));
    }

    #[test]
    fn number_like_texts_are_survived(text in "[+]?[0-9() ./x#;-]{0,24}") {
        for region in [None, Some("IT"), Some("US"), Some("BR"), Some("AR")] {
            if let Ok(phone) = Phone::parse(&text, region) {
                // What was understood is understood again, as the same.
                prop_assert_eq!(Phone::from_e164(phone.as_str()), Ok(phone.clone()));
            }
        }
    }

    #[test]
    fn an_international_number_stays_as_it_is(
        number in "(39[36][0-9]{9}|1[2-9][0-9]{9}|447[1-57-9][0-9]{8}|7[3489][0-9]{9}|4915[0-9]{9})"
    ) {
        let number = format!("+{number}");
        let expected = Phone::from_e164(&number).unwrap();
        prop_assert_eq!(Phone::parse(&number, None), Ok(expected));
    }

    #[test]
    fn spacing_does_not_matter(number in "3[0-9]{9}", gaps in prop::collection::vec("[ .\u{a0}-]?", 10)) {
        let spaced: String =
            number.chars().zip(&gaps).flat_map(|(digit, gap)| [digit.to_string(), gap.clone()]).collect();
        let expected = format!("+39{number}");
        let expected = Ok(Phone::from_e164(&expected).unwrap());
        prop_assert_eq!(&Phone::parse(&spaced, Some("IT")), &expected);
        prop_assert_eq!(&Phone::parse(&format!("+39 {spaced}"), None), &expected);
    }
}
