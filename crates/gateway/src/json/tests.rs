use super::*;
use proptest::prelude::*;

fn check(text: &[u8]) -> std::result::Result<(), Fault> {
    let mut scanner = Scanner::over(text)?;
    scanner.skip()?;
    scanner.end()
}

fn fault_at(text: &str) -> usize {
    match check(text.as_bytes()) {
        Err(Fault::Syntax { at }) => at,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_fault_is_where_the_text_goes_wrong() {
    assert_eq!(fault_at(""), 0);
    assert_eq!(fault_at("  "), 2);
    assert_eq!(fault_at(r#"{"model":"qwen", }"#), 17);
    assert_eq!(fault_at(r#"{"a":01}"#), 6);
    assert_eq!(fault_at(r#"{"a":1.}"#), 7);
    assert_eq!(fault_at(r#"{"a":tru"#), 8);
    assert_eq!(fault_at("[1] x"), 4);
    assert_eq!(fault_at("\"a\nb\""), 2);
    assert_eq!(fault_at(r#""\x""#), 2);
    assert_eq!(fault_at(r#""\u12g4""#), 5);
    assert_eq!(fault_at("[1,]"), 3);
    assert_eq!(fault_at("{'a':1}"), 1);
    assert_eq!(fault_at("nan"), 1);
    assert_eq!(check(b"\"\xff\""), Err(Fault::Syntax { at: 1 }));
}

#[test]
fn nesting_is_followed_to_its_limit_and_no_further() {
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    assert_eq!(check(&nested(128)), Ok(()));
    assert_eq!(check(&nested(129)), Err(Fault::Deep { at: 128 }));
    assert_eq!(check(&vec![b'['; 10_000_000]), Err(Fault::Deep { at: 128 }));
}

#[test]
fn bytes_are_counted_after_unescaping() {
    for (text, ascii, other) in [
        (r#""""#, 0, 0),
        (r#""Who are you?""#, 12, 0),
        (r#""\u4e2d""#, 0, 3),
        (r#""中""#, 0, 3),
        (r#""\u0041\u00e9\n""#, 2, 2),
        (r#""\ud83d\ude00 and 😀""#, 5, 8),
        (r#""\ud83d alone""#, 6, 3),
        (r#""\ud83d\u0041""#, 1, 3),
    ] {
        let mut scanner = Scanner::over(text.as_bytes()).unwrap();
        let found = scanner.string().unwrap();
        assert_eq!((found.ascii, found.other), (ascii, other), "{text}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[ -~é中😀\"\\\\]{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn valid_is_what_serde_json_takes(value in json(), pretty: bool, at: prop::sample::Index, byte: u8, edit in 0..4) {
        let mut text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        prop_assert_eq!(check(&text), Ok(()));
        let at = at.index(text.len());
        match edit {
            0 => text[at] = byte,
            1 => drop(text.remove(at)),
            2 => text.insert(at, byte),
            _ => text.truncate(at),
        }
        let valid = std::str::from_utf8(&text).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(check(&text).is_ok(), valid, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn strings_read_as_serde_json_reads_them(plain: String, ascii: bool) {
        let mut text = serde_json::to_string(&plain).unwrap();
        if ascii {
            let escape = |c: char| {
                let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|it| format!("\\u{it:04x}")).collect();
                if c.is_ascii() { String::from(c) } else { units(c) }
            };
            text = text.chars().map(escape).collect();
        }
        let mut scanner = Scanner::over(text.as_bytes()).unwrap();
        let found = scanner.string().unwrap();
        prop_assert_eq!(scanner.read(&found), plain.as_str());
        prop_assert_eq!(found.ascii, plain.bytes().filter(u8::is_ascii).count() as u64);
        prop_assert_eq!(found.ascii + found.other, plain.len() as u64);
    }
}
