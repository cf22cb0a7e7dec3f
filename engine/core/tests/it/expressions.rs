//! Expressions: what they come to, what they refuse, and what bounds them.

use serde_json::{Value as Json, json};
use valet_core::expression::{Budget, Expression, ExpressionError, Value, Variables};

const STEPS: u64 = 100_000;

fn variables() -> Variables {
    let input = json!({
        "n": 3, "x": 1.5, "big": u64::MAX, "name": "Ada", "none": null, "ok": true,
        "items": [{ "id": 1, "price": 5 }, { "id": 2, "price": 20 }, { "id": 3, "price": 20 }],
        "map": { "b": 2, "a": 1, "c": 3 },
    });
    Variables::from([("input", Value::from(input))])
}

fn value(text: &str) -> Result<Json, ExpressionError> {
    Expression::compile(text, &["input"])?.value(&variables(), &mut Budget::new(STEPS))
}

fn told(text: &str) -> String {
    value(text).expect_err(text).to_string()
}

#[test]
fn expressions_come_to_what_cel_says() {
    let cases = [
        ("1 + 2 * 3", json!(7)),
        ("-input.n", json!(-3)),
        ("7 / 2", json!(3)),
        ("7 % 4", json!(3)),
        ("input.x * 2.0", json!(3.0)),
        ("input.n == 3.0", json!(true)),
        ("input.n == '3'", json!(false)),
        ("input.n < 3.5 && input.n >= 3", json!(true)),
        ("input.big > 9223372036854775807", json!(true)),
        ("input.big", json!(u64::MAX)),
        ("'a' < 'b'", json!(true)),
        ("'Hello ' + input.name", json!("Hello Ada")),
        ("[1, 2] + [3]", json!([1, 2, 3])),
        ("size(input.name) + input.items.size()", json!(6)),
        ("size('äöü')", json!(3)),
        ("input.name.startsWith('A') && input.name.endsWith('a') && input.name.contains('d')", json!(true)),
        ("input.items[1].price", json!(20)),
        ("input['name']", json!("Ada")),
        ("2 in [1, 2]", json!(true)),
        ("'a' in input.map", json!(true)),
        ("has(input.name) && !has(input.nothing)", json!(true)),
        ("input.ok ? 'yes' : 'no'", json!("yes")),
        ("input.items.filter(i, i.price > 5).map(i, i.id)", json!([2, 3])),
        ("input.items.map(i, i.price > 5, i.id)", json!([2, 3])),
        ("input.items.all(i, i.id > 0)", json!(true)),
        ("input.items.exists(i, i.price == 5)", json!(true)),
        ("input.items.exists_one(i, i.price == 20)", json!(false)),
        ("[[1, 2], [3]].map(l, l.map(x, x + 1))", json!([[2, 3], [4]])),
        ("[1].map(input, input + 1)", json!([2])),
        ("{'a': input.n, 'b': [null]}", json!({ "a": 3, "b": [null] })),
        ("int('42') + int(2.9)", json!(44)),
        ("double(input.n) / 2.0", json!(1.5)),
        ("string(input.n) + string(true)", json!("3true")),
        ("input.none == null", json!(true)),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text).unwrap_or_else(|e| panic!("{text}: {e}")), expected, "{text}");
    }
}

/// A map has no order in CEL; here it always has the same, so that a replay goes the same way.
#[test]
fn maps_are_walked_in_the_order_of_their_keys() {
    for _ in 0..20 {
        assert_eq!(value("input.map.map(k, k)").expect("keys"), json!(["a", "b", "c"]));
    }
}

#[test]
fn the_side_that_decides_makes_an_error_of_the_other_good() {
    for text in [
        "input.nothing == 1 || true",
        "true || input.nothing == 1",
        "!(input.nothing == 1 && false)",
        "[0, 2].exists(x, 4 / x == 2)",
        "![0, 2].all(x, 4 / x == 3)",
    ] {
        assert_eq!(value(text).unwrap_or_else(|e| panic!("{text}: {e}")), json!(true), "{text}");
    }
    assert!(told("input.nothing == 1 || false").contains("no field `nothing`"));
    assert!(told("[0, 2].all(x, 4 / x == 2)").contains("division by zero"));
}

#[test]
fn what_cannot_be_is_told_without_the_value() {
    let cases = [
        ("input.nothing", "no field `nothing`"),
        ("input.none.x", "null has no field `x`"),
        ("input.n + 'x'", "an int and a string"),
        ("input.n + input.x", "double(…)"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "too large"),
        ("input.items[7]", "no [7]"),
        ("input.map['z']", "no such key"),
        ("input.name > 3", "no order"),
        ("input.name ? 1 : 2", "true or false"),
        ("{1: 2}", "keys are strings"),
        ("{'a': 1, 'a': 2}", "twice"),
        ("input.n.map(x, x)", "a list or a map"),
        ("1.0 / 0.0", "beyond all bounds"),
    ];
    for (text, expected) in cases {
        let told = told(text);
        assert!(told.contains(expected), "{text}: {told}");
        assert!(!told.contains("Ada"), "{told}");
    }
}

#[test]
fn what_is_no_expression_is_refused_before_it_is_used() {
    let cases = [
        ("input.", "line 1, column"),
        ("1 +", "this is no CEL"),
        ("", "this is no CEL"),
        ("inptu.x", "no variable `inptu`; there are: input"),
        ("now()", "no function `now`"),
        ("input.name.matches('a+')", "no function `matches`"),
        ("size()", "takes 1 in all"),
        ("contains(input.name, 'a')", "text.contains(…)"),
        ("b'abc'", "no bytes"),
        ("x{a: 1}", "write a map"),
        ("[1].map(x, y)", "no variable `y`"),
    ];
    for (text, expected) in cases {
        let told = Expression::compile(text, &["input"]).expect_err(text).to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
}

/// Each of these would take for ever, or all memory or stack.
#[test]
fn hostile_texts_end_soon() {
    let nested = |n: usize| (0..n).fold("1".to_owned(), |inner, i| format!("[0, 0].map(x{i}, {inner})"));
    let doubled = |n: usize| (0..n).fold("['xxxxxxxx']".to_owned(), |inner, _| format!("{inner}.map(a, a + a)"));
    let shared = |n: usize| (0..n).fold("[[1]]".to_owned(), |inner, _| format!("{inner}.map(a, [a, a])"));
    let texts = [
        nested(40),
        doubled(40),
        shared(40),
        "(".repeat(4_000),
        "-".repeat(4_000),
        "!".repeat(4_000),
        "[".repeat(4_000),
        format!("input{}", ".a".repeat(2_000)),
        format!("input{}", "[0]".repeat(1_300)),
        format!("{}1", "1?1:".repeat(1_000)),
        format!("{}1", "1+".repeat(2_000)),
        format!("{}true", "true&&".repeat(600)),
        format!("{}true", "true&&false||".repeat(300)),
        "input.items.all(a, ".repeat(200),
        "x".repeat(5_000),
        format!("'{}'", "x".repeat(4_000)),
    ];
    for text in texts {
        let came_to = value(&text);
        assert!(
            came_to.is_err() || text.starts_with('\'') || text.starts_with('1') || text.starts_with("true"),
            "{text}"
        );
    }
    let exhausted = Expression::compile("true || [0].all(x, true)", &[]).expect("an expression");
    assert!(exhausted.test(&Variables::new(), &mut Budget::new(2)).is_ok(), "what is not needed costs nothing");
    let caught = Expression::compile("[1, 2, 3].all(x, x > 0) || true", &[]).expect("an expression");
    let spent = caught.test(&Variables::new(), &mut Budget::new(5));
    assert_eq!(spent, Err(ExpressionError::Exhausted), "the other side does not make a spent budget good");
}
