//! Values.

use crate::api::{Error, Func, Result};
use crate::runtime::externref::VMExternRef;
use crate::runtime::store::StoreOpaque;
use crate::runtime::type_registry::is_subtype;
use crate::types::{HeapType, RefType, TypeIndex, ValType, i31_value, i31_word};
use std::any::Any;
use std::hash::{Hash, Hasher};

/// A 128-bit vector.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct V128(pub u128);

impl From<u128> for V128 {
    fn from(bits: u128) -> V128 {
        V128(bits)
    }
}

impl From<V128> for u128 {
    fn from(vector: V128) -> u128 {
        vector.0
    }
}

/// A counted reference to a host value.
///
/// What is passed into the guest by value is kept alive by the store, until the guest has been found to refer to it no more
/// ([`Store::gc`](crate::Store::gc)) or the store is dropped. What is passed by reference is kept alive by the caller:
/// parameters of type `Option<&ExternRef>`, and the slice of [`Func::call`](crate::Func::call).
///
/// ```
/// use wasmscope::{Engine, ExternRef, Instance, Module, Store};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (func (export "same") (param externref) (result externref) (local.get 0)))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let same = instance.get_typed_func::<Option<ExternRef>, Option<ExternRef>>(&mut store, "same")?;
/// let value = ExternRef::new("a host value".to_owned());
/// let back = same.call(&mut store, Some(value.clone()))?.unwrap();
/// assert!(ExternRef::ptr_eq(&value, &back));
/// assert_eq!(back.downcast_ref::<String>().unwrap(), "a host value");
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExternRef(pub(crate) VMExternRef);

impl ExternRef {
    /// A reference to a new host value.
    pub fn new(value: impl Any + Send + Sync) -> ExternRef {
        ExternRef(VMExternRef::new(value))
    }

    /// The value.
    #[must_use]
    pub fn data(&self) -> &(dyn Any + Send + Sync) {
        self.0.value()
    }

    /// The value, if it is of type `T`.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.data().downcast_ref()
    }

    /// How many references there are, the stores' own included.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.0.strong_count()
    }

    /// Do both refer to the same value?
    #[must_use]
    pub fn ptr_eq(a: &ExternRef, b: &ExternRef) -> bool {
        a.0.as_raw() == b.0.as_raw()
    }

    /// A hash of the reference, not of the value: equal for references that are [`ptr_eq`](ExternRef::ptr_eq).
    pub fn ptr_hash(&self, hasher: &mut impl Hasher) {
        self.0.as_raw().hash(hasher);
    }
}

impl From<VMExternRef> for ExternRef {
    fn from(reference: VMExternRef) -> ExternRef {
        ExternRef(reference)
    }
}

impl From<ExternRef> for VMExternRef {
    fn from(reference: ExternRef) -> VMExternRef {
        reference.0
    }
}

/// A wasm value.
#[derive(Clone, Debug)]
pub enum Val {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector.
    V128(V128),
    /// A function or null.
    FuncRef(Option<Func>),
    /// A host value or null.
    ExternRef(Option<ExternRef>),
    /// An integer of 31 bits, sign-extended, or null. One that takes more bits cannot be passed to the guest.
    I31Ref(Option<i32>),
}

macro_rules! val_kinds {
    ($($kind:ident($ty:ty) $get:ident $unwrap:ident;)*) => {
        impl Val {
            $(
                #[doc = concat!("The value, if it is of this kind (`", stringify!($kind), "`).")]
                #[must_use]
                pub fn $get(&self) -> Option<$ty> {
                    match self { Val::$kind(value) => Some(value.clone().into_value()), _ => None }
                }
                #[doc = concat!("The value.\n\n# Panics\n\nIf it is not of this kind (`", stringify!($kind), "`).")]
                #[must_use]
                #[track_caller]
                pub fn $unwrap(&self) -> $ty {
                    self.$get().unwrap_or_else(|| panic!(concat!("expected ", stringify!($kind), ", found {:?}"), self))
                }
            )*
        }
    };
}

trait IntoValue<T> {
    fn into_value(self) -> T;
}
impl<T> IntoValue<T> for T {
    fn into_value(self) -> T {
        self
    }
}
impl IntoValue<f32> for u32 {
    fn into_value(self) -> f32 {
        f32::from_bits(self)
    }
}
impl IntoValue<f64> for u64 {
    fn into_value(self) -> f64 {
        f64::from_bits(self)
    }
}

val_kinds! {
    I32(i32) i32 unwrap_i32;
    I64(i64) i64 unwrap_i64;
    F32(f32) f32 unwrap_f32;
    F64(f64) f64 unwrap_f64;
    V128(V128) v128 unwrap_v128;
    FuncRef(Option<Func>) func_ref unwrap_func_ref;
    ExternRef(Option<ExternRef>) extern_ref unwrap_extern_ref;
    I31Ref(Option<i32>) i31_ref unwrap_i31_ref;
}

impl Val {
    /// The type (that of references is the most general one).
    #[must_use]
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(_) => ValType::FUNCREF,
            Val::ExternRef(_) => ValType::EXTERNREF,
            Val::I31Ref(_) => ValType::Ref(RefType { nullable: true, heap: HeapType::I31 }),
        }
    }

    /// Refuses a value that is not of a type (in terms of the engine's numbers) or belongs to another store.
    pub(crate) fn check(&self, store: &StoreOpaque, ty: ValType) -> Result<()> {
        let actual = match self {
            Val::FuncRef(Some(func)) => {
                let func_ref = func.raw(store.id()).ok_or_else(|| Error::msg("function of another store"))?;
                // SAFETY: function references live as long as their store, which is borrowed.
                let number = unsafe { func_ref.as_ref().type_id };
                ValType::Ref(RefType { nullable: false, heap: HeapType::Concrete(TypeIndex(number)) })
            }
            Val::FuncRef(None) => ValType::Ref(RefType { nullable: true, heap: HeapType::NoFunc }),
            Val::ExternRef(None) => ValType::Ref(RefType { nullable: true, heap: HeapType::NoExtern }),
            Val::ExternRef(Some(_)) => ValType::Ref(RefType { nullable: false, heap: HeapType::Extern }),
            Val::I31Ref(Some(value)) if i31_value(i31_word(*value)) != Some(*value) => {
                return Err(Error::msg(format!("the value {value} of an i31ref takes more than 31 bits")));
            }
            Val::I31Ref(value) => ValType::Ref(RefType { nullable: value.is_none(), heap: HeapType::I31 }),
            other => other.ty(),
        };
        if is_subtype(actual, ty) {
            Ok(())
        } else {
            Err(Error::msg(format!("type mismatch: expected a value of type {ty}, found {self:?}")))
        }
    }

    /// Zero or null of a type.
    #[must_use]
    pub fn default_for(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(V128(0)),
            ValType::Ref(r) if r.heap.is_extern() => Val::ExternRef(None),
            ValType::Ref(r) if r.heap == HeapType::I31 => Val::I31Ref(None),
            ValType::Ref(_) => Val::FuncRef(None),
        }
    }
}

impl From<i32> for Val {
    fn from(value: i32) -> Val {
        Val::I32(value)
    }
}
impl From<i64> for Val {
    fn from(value: i64) -> Val {
        Val::I64(value)
    }
}
impl From<f32> for Val {
    fn from(value: f32) -> Val {
        Val::F32(value.to_bits())
    }
}
impl From<f64> for Val {
    fn from(value: f64) -> Val {
        Val::F64(value.to_bits())
    }
}
impl From<V128> for Val {
    fn from(value: V128) -> Val {
        Val::V128(value)
    }
}
impl From<Func> for Val {
    fn from(value: Func) -> Val {
        Val::FuncRef(Some(value))
    }
}
impl From<Option<Func>> for Val {
    fn from(value: Option<Func>) -> Val {
        Val::FuncRef(value)
    }
}
impl From<ExternRef> for Val {
    fn from(value: ExternRef) -> Val {
        Val::ExternRef(Some(value))
    }
}
impl From<Option<ExternRef>> for Val {
    fn from(value: Option<ExternRef>) -> Val {
        Val::ExternRef(value)
    }
}
