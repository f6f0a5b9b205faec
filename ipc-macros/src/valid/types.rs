//! The types that people reach for first and that cannot be placed in shared memory.

use syn::{Expr, ExprLit, GenericArgument, Lit, Path, PathArguments, PathSegment, Type};

use crate::errors::Errors;

/// A type of `std` and what to use instead.
struct Wrong {
    name: &'static str,
    /// Whether it is generic. One without arguments is then somebody's own type of the same name.
    generic: bool,
    instead: &'static str,
}

/// The most bytes that a `Str` holds.
const MAX_STR_BYTES: u64 = 65_535;

const POINTER: &str = "a pointer means nothing in another program: hold the value itself";
const MAP: &str = "this keeps its contents on the heap of this program: use `List<T, N>` with a struct for each entry";
const HEAP: &str = "this keeps its contents on the heap of this program: use `List<T, N>`";
const TEXT: &str = "this keeps its text on the heap of this program: use `Str<N>`, which holds up to N bytes inline";
const SHARED: &str = "a message is a value, which is not shared once it is sent: hold a plain one, without the wrapper";

const fn plain(name: &'static str, instead: &'static str) -> Wrong {
    Wrong { name, generic: false, instead }
}

const fn generic(name: &'static str, instead: &'static str) -> Wrong {
    Wrong { name, generic: true, instead }
}

const WRONG: &[Wrong] = &[
    plain("String", TEXT),
    plain("PathBuf", TEXT),
    plain("OsString", TEXT),
    plain("CString", TEXT),
    plain(
        "str",
        "only the last field of a message's struct may vary in length: move it there, or use `Str<N>`, which holds up to \
         N bytes inline",
    ),
    generic(
        "Vec",
        "this keeps its items on the heap of this program: use `List<T, N>`, which holds up to N items inline",
    ),
    generic("VecDeque", HEAP),
    generic("BinaryHeap", HEAP),
    generic("LinkedList", HEAP),
    generic("HashMap", MAP),
    generic("BTreeMap", MAP),
    generic("HashSet", HEAP),
    generic("BTreeSet", HEAP),
    generic("Option", "`Option` has no fixed layout: use `Opt<T>`, which converts from and to it"),
    generic("Result", "`Result` has no fixed layout: use an enum of your own with `#[repr(C, u8)]`"),
    generic("Box", POINTER),
    generic("Rc", POINTER),
    generic("Arc", POINTER),
    generic("Weak", POINTER),
    generic("NonNull", POINTER),
    generic("Cow", POINTER),
    plain("usize", "`usize` is not the same size in every program: use `u64`"),
    plain("isize", "`isize` is not the same size in every program: use `i64`"),
    generic("Cell", SHARED),
    generic("RefCell", SHARED),
    generic("UnsafeCell", SHARED),
    generic("OnceCell", SHARED),
    generic("Mutex", SHARED),
    generic("RwLock", SHARED),
    plain("AtomicBool", SHARED),
    plain("AtomicU8", SHARED),
    plain("AtomicU16", SHARED),
    plain("AtomicU32", SHARED),
    plain("AtomicU64", SHARED),
    plain("AtomicUsize", SHARED),
    plain("AtomicI8", SHARED),
    plain("AtomicI16", SHARED),
    plain("AtomicI32", SHARED),
    plain("AtomicI64", SHARED),
    plain("AtomicIsize", SHARED),
    plain("Instant", "an `Instant` means nothing in another program: use a `u64` of nanoseconds since an agreed start"),
    plain("SystemTime", "`SystemTime` has no fixed layout: use a `u64` of nanoseconds since the Unix epoch"),
    plain("Duration", "`Duration` has no fixed layout: use a `u64` of nanoseconds"),
];

/// The types of [`WRONG`] that are not `Send` and `Sync`, as every message is.
const THREAD_BOUND: &[&str] = &["Rc", "Weak", "NonNull", "Cell", "RefCell", "UnsafeCell", "OnceCell"];

/// Reports the outermost wrong type in a field's type.
pub(super) fn check(ty: &Type, errors: &mut Errors) {
    if let Some(instead) = wrong(ty) {
        errors.at(ty, instead);
        return;
    }
    for inner in inner(ty) {
        check(inner, errors);
    }
}

/// Reports the outermost wrong type in what the tail of a message consists of.
pub(super) fn check_tail(ty: &Type, errors: &mut Errors) {
    if let Type::Slice(slice) = ty {
        check(&slice.elem, errors);
    }
}

/// Whether a field of this type keeps its struct from being `Send` and `Sync`.
pub(crate) fn is_thread_bound(ty: &Type) -> bool {
    let by_itself = match ty {
        Type::Ptr(_) | Type::TraitObject(_) => true,
        Type::Path(ty) => std_type(&ty.path).is_some_and(|last| THREAD_BOUND.iter().any(|name| last.ident == name)),
        _ => false,
    };
    by_itself || inner(ty).into_iter().any(is_thread_bound)
}

/// What to use instead of a type, if it is wrong by itself.
fn wrong(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Reference(reference) => Some(match &*reference.elem {
            Type::Path(ty) if ty.path.is_ident("str") => {
                "a reference means nothing in another program: use `Str<N>`, which holds up to N bytes inline"
            }
            Type::Slice(_) => {
                "a reference means nothing in another program: use `List<T, N>`, which holds up to N items inline"
            }
            _ => "a reference means nothing in another program: hold the value itself",
        }),
        Type::Ptr(_) => Some(POINTER),
        Type::FnPtr(_) => {
            Some("a function has another address in another program: use an enum that says which one is meant")
        }
        Type::Path(ty) => {
            if is_too_long_str(&ty.path) {
                return Some("a `Str` holds at most 65,535 bytes: use a smaller one");
            }
            let last = std_type(&ty.path)?;
            let has_arguments = !last.arguments.is_none();
            let found = WRONG.iter().find(|wrong| last.ident == wrong.name && (has_arguments || !wrong.generic));
            found.map(|wrong| wrong.instead)
        }
        Type::Slice(_) => Some(
            "only the last field of a message's struct may vary in length: move it there, or use `List<T, N>`, which \
             holds up to N items inline",
        ),
        Type::Tuple(_) => {
            Some("a tuple has no fixed layout: declare a struct with named fields, and derive `IpcMessage` for it")
        }
        Type::TraitObject(_) => {
            Some("a trait object is a pointer, which means nothing in another program: use an enum")
        }
        Type::Never(_) => Some("this has no value that could be sent"),
        _ => None,
    }
}

/// Whether this is a `Str` with a capacity that its length field cannot count to. One that is not written as a number
/// is left to `Str` itself, whose error has to come from the compiler.
fn is_too_long_str(path: &Path) -> bool {
    let Some(last) = path.segments.last().filter(|last| last.ident == "Str") else {
        return false;
    };
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.iter().any(|argument| match argument {
            GenericArgument::Const(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => {
                !number.base10_parse::<u64>().is_ok_and(|number| number <= MAX_STR_BYTES)
            }
            _ => false,
        }),
        _ => false,
    }
}

/// The types that a type is made of, as far as they are written out.
fn inner(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::Array(array) => vec![&array.elem],
        Type::Paren(paren) => vec![&paren.elem],
        Type::Group(group) => vec![&group.elem],
        Type::Path(path) => match path.path.segments.last().map(|last| &last.arguments) {
            Some(PathArguments::AngleBracketed(arguments)) => {
                let types = arguments.args.iter().filter_map(|argument| match argument {
                    GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                });
                types.collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The last segment of a path that may lead into `std`: a bare name, or one that starts there.
fn std_type(path: &Path) -> Option<&PathSegment> {
    let first = path.segments.first()?;
    let in_std = ["std", "core", "alloc"].iter().any(|name| first.ident == name);
    if path.segments.len() == 1 || in_std { path.segments.last() } else { None }
}
