//! What the derive writes, where the tests of `ipc-core` cannot see it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse2;

/// The derive's output as one line, with the spaces of `TokenStream`.
fn derived(input: TokenStream) -> String {
    crate::derive(&parse2(input).unwrap()).to_string()
}

/// What a channel's function builds, from an `ipc` attribute.
fn builder(attribute: TokenStream) -> String {
    let text = derived(quote!(
        #[ipc(#attribute)]
        #[repr(C)]
        struct M {
            a: u8,
        }
    ));
    let (_, rest) = text.split_once("fn channel () -> :: slipring :: Queue < Self > {").unwrap();
    rest.split_once('}').unwrap().0.trim().replace(' ', "")
}

#[test]
fn a_channel_says_only_what_was_given() {
    assert_eq!(builder(quote!(queue = "a", spsc)), "::slipring::Queue::new(\"a\").spsc()");
    assert_eq!(
        builder(quote!(queue = "desk.b", lifetime = "persistent", capacity = 4_096u32, spsc)),
        "::slipring::Queue::new(\"desk.b\").capacity(4096).spsc().lifetime(::slipring::Lifetime::Persistent)"
    );
    assert_eq!(
        builder(quote!(queue = "a", huge_pages, spsc, prefault = false)),
        "::slipring::Queue::new(\"a\").spsc().prefault(false).huge_pages(true)"
    );
    assert_eq!(
        builder(quote!(queue = "a", hardened, group = "robots", mode = 0o640)),
        "::slipring::Queue::new(\"a\").mode(416).group(\"robots\").hardened(true)"
    );
}

#[test]
fn attributes_are_mended_where_it_is_clear_what_was_meant() {
    for (attribute, said) in [
        ("queue = \"a\", capcity = 4", "did you mean `capacity`?"),
        ("queue = \"a\", spcs", "did you mean `spsc`?"),
        ("brodcast = \"a\"", "did you mean `broadcast`?"),
        ("queue = \"a\", huge_page", "did you mean `huge_pages`?"),
        ("queue = \"a\", size = 7", "`ipc` knows `name`"),
        ("topic = \"a\"", "`ipc` knows `name`"),
        ("a::b", "`ipc` knows `name`"),
        ("latest", "give the channel a name: `latest = \\\"name\\\"`"),
        ("queue = 7", "this is a string: `queue = \\\"...\\\"`"),
        ("queue = \"a\", lifetime", "say which: `lifetime = \\\"...\\\"`"),
        ("pipe = \"a\"", "`Pipe::<A, B>::new("),
    ] {
        let text = derived(syn::parse_str(&format!("#[ipc({attribute})] #[repr(C)] struct M {{ a: u8 }}")).unwrap());
        assert!(text.contains(said), "{attribute} gives {text}");
        assert_eq!(text.matches("compile_error").count(), 1, "{attribute}");
    }
}

#[test]
fn a_capacity_is_measured_by_what_it_counts() {
    let is_refused = |attribute: &str, fields: &str| {
        let text = format!("#[ipc({attribute})] #[repr(C)] struct M {{ {fields} }}");
        derived(syn::parse_str(&text).unwrap()).contains("compile_error")
    };
    for (attribute, fields, expected) in [
        ("queue = \"a\", capacity = 536_870_912", "a: u8", false),
        ("queue = \"a\", capacity = 536_870_913", "a: u8", true),
        ("broadcast = \"a\", capacity = 536_870_913", "a: u8", true),
        ("queue = \"a\", spsc, capacity = 2_147_483_648", "a: u8", false),
        ("queue = \"a\", spsc, capacity = 2_147_483_649", "a: u8", true),
        // Bytes, or perhaps bytes.
        ("queue = \"a\", capacity = 4_294_967_296", "a: [u8]", false),
        ("queue = \"a\", capacity = 536_870_913", "a: Bytes", false),
        ("queue = \"a\", capacity = 0", "a: [u8]", true),
        ("service = \"a\", reply = u8, capacity = 32_768", "a: u8", false),
        ("service = \"a\", reply = u8, capacity = 32_769", "a: [u8]", true),
    ] {
        assert_eq!(is_refused(attribute, fields), expected, "{attribute}, {fields}");
    }
}

#[test]
fn the_path_of_the_crate_is_used_throughout() {
    let text = derived(quote! {
        #[ipc(crate = "a::b", queue = "q", spsc, lifetime = "attached")]
        #[repr(C)]
        struct M { a: u8 }
    });
    assert!(!text.contains("slipring"));
    assert!(text.contains("a :: b :: Lifetime :: Attached"));
}

#[test]
fn nothing_valid_is_refused() {
    for input in [
        "#[repr(C)] struct M(u8, [u8; 2]);",
        "#[repr(C, align(128))] struct M<T: IpcMessage, const N: usize> { a: [T; N], b: Str<65_535> }",
        "#[repr(C)] struct M<T> where T: a::IpcMessage { r#type: mine::String, b: T, c: Str<{ 7 }> }",
        "#[repr(i64)] enum M { A = -5, B }",
        "#[repr(C)] struct M(u8, str);",
        "#[repr(C, align(64))] struct M<T: IpcMessage> { a: T, b: [T] }",
        "#[repr(u8, C)] enum M { A(u8), B { x: Vec } = 7, C() }",
    ] {
        let text = derived(syn::parse_str(input).unwrap());
        assert!(!text.contains("compile_error"), "{input}");
    }
}

#[test]
fn odd_declarations_are_errors_and_no_panics() {
    for input in [
        "struct M;",
        "struct M();",
        "enum M {}",
        "union M { a: u8 }",
        "#[ipc] #[repr(C)] struct M { a: u8 }",
        "#[ipc = \"a\"] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue = 7)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(a::b)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue = \"a\", spsc, prefault)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue = \"a\", spsc, prefault = 1)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue = \"a\", spsc, prefault =)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue = \"a\", spsc, huge_pages, huge_pages)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(huge_pages)] #[repr(C)] struct M { a: u8 }",
        "#[ipc(crate = \"7\")] #[repr(C)] struct M { a: u8 }",
        "#[ipc(crate = \"\")] #[repr(C)] struct M { a: u8 }",
        "#[ipc(queue = \"a\", spsc, capacity = 99999999999999999999999)] #[repr(C)] struct M { a: u8 }",
        "#[repr(C, align(99999999999999999999999))] struct M { a: [u8], b: u8 }",
        "#[repr(align)] struct M { a: () }",
        "#[repr(C)] struct M<'a, T: 'a, const N: usize = 3>(&'a T, fn(T), *mut [T; N], dyn A, !);",
        "#[repr(C, u8)] enum M<T> where T: Copy { A(Option<Vec<T>>), B { x: (u8,) } }",
        "#[repr(C)] struct M { a: Str<99999999999999999999999> }",
    ] {
        let text = derived(syn::parse_str(input).unwrap());
        assert!(text.contains("compile_error"), "{input}");
        assert!(text.contains("IpcMessage for M"), "{input} leaves the type without an implementation");
    }
}
