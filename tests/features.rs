//! What the features add to `slipring`, for programs that depend on nothing else of this workspace.

use slipring::schema::Value;

#[test]
fn values_of_unknown_types_become_json() {
    let flight = Value::from([("number", 1545_u16.into()), ("delay_min", None.into())]);
    let text = serde_json::to_string(&flight).expect("a value can be serialized");
    assert_eq!(text, r#"{"number":1545,"delay_min":null}"#);
    assert!(matches!(serde_json::from_str(&text), Ok(Value::Struct(fields)) if fields.len() == 2));
}
