use super::*;

fn line() -> DraftLine {
    DraftLine {
        book_id: "9788937460449".to_owned(),
        qty: 2,
        unit_price: 15_000,
        title: Some("채식주의자".to_owned()),
    }
}

fn draft() -> OrderDraft {
    let entry = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    OrderDraft {
        customer_id: "33".to_owned(),
        lines: vec![line()],
        shipping_fee: 3_000,
        currency: "KRW".to_owned(),
        payment: Some(Payment {
            method: "card".to_owned(),
            token: Personal::from("tok_1"),
        }),
        contact: Some(Contact {
            name: Personal::from("김하나"),
            phone: Personal::from("010-1234-5678"),
        }),
        address: Some(Address(
            [entry("country", "KR"), entry("street", "세종대로 1")].into(),
        )),
        placed_at: Some("2010-12-01T08:45:00Z".parse().expect("a time in RFC 3339")),
        external_id: Some("536370".to_owned()),
        short_form: false,
    }
}

#[track_caller]
fn refused(draft: OrderDraft, expected: &[&str]) {
    let errors = draft.check().expect_err("the draft was accepted");
    let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(sentences, expected);
}

#[test]
fn a_full_order_is_accepted_with_its_total() {
    let order = draft().check().expect("a good order");
    assert_eq!(order.total, Money::new(33_000, Currency::KRW));
    assert_eq!(order.lines.len(), 1);
}

#[test]
fn the_oddities_of_real_orders_are_accepted() {
    let gift = DraftLine {
        unit_price: 0,
        ..line()
    };
    let many = DraftLine {
        qty: 99_999,
        ..line()
    };
    let long = DraftLine {
        title: Some("é".repeat(250)),
        book_id: "DOT".to_owned(),
        ..line()
    };
    let lines = [gift, many, long].into_iter().cycle().take(271).collect();
    assert!(
        OrderDraft {
            lines,
            contact: None,
            payment: None,
            ..draft()
        }
        .check()
        .is_ok()
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_command() {
    let bad = DraftLine {
        book_id: String::new(),
        qty: 0,
        unit_price: -1,
        title: Some("a\0b".to_owned()),
    };
    let everything = OrderDraft {
        customer_id: " ".to_owned(),
        lines: vec![line(), bad],
        shipping_fee: -1,
        currency: "won".to_owned(),
        payment: Some(Payment {
            method: String::new(),
            token: Personal::from(""),
        }),
        contact: Some(Contact {
            name: Personal::from("\u{7}"),
            phone: Personal::from(""),
        }),
        address: Some(Address([("a/b".to_owned(), String::new())].into())),
        placed_at: DateTime::from_timestamp(-1, 0),
        external_id: Some("x".repeat(201)),
        short_form: false,
    };
    refused(
        everything,
        &[
            "/customerId: The customer id must not be empty.",
            "/lines/1/bookId: The book id must not be empty.",
            "/lines/1/qty: The quantity must be between 1 and 100000, not 0.",
            "/lines/1/unitPrice: The unit price must be between 0 and 1000000000000, not -1.",
            "/lines/1/title: The title must not contain the control character U+0000.",
            "/shippingFee: The shipping fee must be between 0 and 1000000000000, not -1.",
            "/currency: The currency must be a code of ISO 4217 in capital letters, such as KRW.",
            "/payment/method: The payment method must not be empty.",
            "/payment/token: The payment token must not be empty.",
            "/contact/name: The name must not contain the control character U+0007.",
            "/contact/phone: The phone number must not be empty.",
            "/address/a~1b: An address entry must not be empty.",
            "/placedAt: The time of ordering must lie in the years 1970 to 9999.",
            "/externalId: The external id must have at most 200 characters, not 201.",
        ],
    );
}

#[test]
fn the_number_of_lines_is_limited_on_both_sides() {
    let none = OrderDraft {
        lines: vec![],
        ..draft()
    };
    refused(none, &["/lines: An order must have 1 to 500 lines, not 0."]);
    let many = OrderDraft {
        lines: vec![line(); 501],
        ..draft()
    };
    refused(
        many,
        &["/lines: An order must have 1 to 500 lines, not 501."],
    );
    assert!(
        OrderDraft {
            lines: vec![line(); 500],
            ..draft()
        }
        .check()
        .is_ok()
    );
}

#[test]
fn a_quantity_is_limited_on_both_sides() {
    let with = |qty| OrderDraft {
        lines: vec![DraftLine { qty, ..line() }],
        ..draft()
    };
    assert!(with(1).check().is_ok());
    assert!(with(100_000).check().is_ok());
    refused(
        with(100_001),
        &["/lines/0/qty: The quantity must be between 1 and 100000, not 100001."],
    );
    refused(
        with(i64::MIN),
        &["/lines/0/qty: The quantity must be between 1 and 100000, not -9223372036854775808."],
    );
}

#[test]
fn an_order_of_gifts_without_postage_is_refused_and_with_postage_accepted() {
    let gifts = |shipping_fee| {
        let lines = vec![DraftLine {
            unit_price: 0,
            ..line()
        }];
        OrderDraft {
            lines,
            shipping_fee,
            ..draft()
        }
    };
    refused(
        gifts(0),
        &["/lines: The total must be between 1 and 1000000000000000 minor units, not 0."],
    );
    assert!(gifts(1).check().is_ok());
}

#[test]
fn a_total_beyond_every_integer_is_refused_with_its_true_value() {
    let dearest = DraftLine {
        qty: QTY_MAX,
        unit_price: PRICE_MAX,
        ..line()
    };
    let all = OrderDraft {
        lines: vec![dearest; LINES_MAX],
        shipping_fee: 0,
        ..draft()
    };
    let total = "50000000000000000000";
    let sentence = format!(
        "/lines: The total must be between 1 and 1000000000000000 minor units, not {total}."
    );
    refused(all, &[&sentence]);
}

#[test]
fn titles_that_together_outgrow_an_append_are_refused() {
    let long = DraftLine {
        title: Some("漢".repeat(500)),
        ..line()
    };
    let all = OrderDraft {
        lines: vec![long; 200],
        ..draft()
    };
    refused(
        all,
        &["/lines: Book ids and titles together must have at most 262144 bytes, not 302600."],
    );
}

#[test]
fn an_address_has_a_few_named_entries() {
    let with = |entries: BTreeMap<String, String>| OrderDraft {
        address: Some(Address(entries)),
        ..draft()
    };
    refused(
        with(BTreeMap::new()),
        &["/address: An address must have 1 to 20 entries, not 0."],
    );
    let many = (0..21).map(|n| (n.to_string(), "x".to_owned())).collect();
    refused(
        with(many),
        &["/address: An address must have 1 to 20 entries, not 21."],
    );
    let named = [("n".repeat(51), "x".to_owned())].into();
    refused(
        with(named),
        &["/address: The name of an address entry must have at most 50 characters, not 51."],
    );
    let lines = [("street".to_owned(), "Sejong-daero 1\nJongno-gu".to_owned())].into();
    assert!(with(lines).check().is_ok());
}

#[test]
fn pointers_of_the_seeds_short_form_have_no_lines() {
    let lines = vec![DraftLine {
        book_id: String::new(),
        qty: 0,
        ..line()
    }];
    refused(
        OrderDraft {
            lines,
            short_form: true,
            ..draft()
        },
        &[
            "/bookId: The book id must not be empty.",
            "/qty: The quantity must be between 1 and 100000, not 0.",
        ],
    );
}

#[test]
fn a_draft_does_not_show_personal_data_when_printed() {
    let printed = format!("{:?}", draft());
    for personal in ["tok_1", "김하나", "010-1234-5678", "세종대로"] {
        assert!(!printed.contains(personal), "{printed}");
    }
}
