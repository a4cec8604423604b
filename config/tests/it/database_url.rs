use dripline_config::DatabaseUrl;

use super::load;

#[track_caller]
fn check(url: &str, shown: &str) {
    let parsed = DatabaseUrl::parse(url).unwrap();
    assert_eq!(parsed.to_string(), shown);
    assert_eq!(format!("{parsed:?}"), format!("DatabaseUrl({shown})"));
    assert_eq!(parsed.expose(), url);
    assert_eq!(parsed.has_password(), url != shown);
}

#[test]
fn passwords_are_not_shown() {
    check("postgres://anna@h:5432/d", "postgres://anna@h:5432/d");
    check("postgresql://anna:hunter2@h/d", "postgresql://anna:***@h/d");
    check("postgres://anna:hun%40ter:2@h/d", "postgres://anna:***@h/d");
    check(
        "postgres:///d?host=/run/pg&user=anna&password=hunter2&sslmode=require",
        "postgres:///d?host=/run/pg&user=anna&password=***&sslmode=require",
    );
}

#[test]
fn what_is_no_url() {
    let unescaped = ["postgres://a:p@w@h", "postgres://a:p/w@h", "postgres://a:p?w@h"];
    for text in
        ["", "postgres://", "mysql://h/d", "h/d", "postgres://h/a b"].iter().chain(&unescaped)
    {
        assert!(DatabaseUrl::parse(text).is_err(), "{text}");
    }
}

#[test]
fn settings_never_show_it() {
    let settings = load("", &[("DATABASE_URL", "postgres://anna:hunter2@h/d")]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn it_can_be_kept_elsewhere() {
    let toml = "database.url = 'env:PG'";
    let settings = load(toml, &[("PG", "postgres://anna:hunter2@h/d")]).unwrap();
    assert_eq!(settings.database.url.unwrap().expose(), "postgres://anna:hunter2@h/d");
}
