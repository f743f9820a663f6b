//! Function types by number: equal types have equal numbers throughout an engine.

use crate::types::{FuncType, HeapType, RefType, TypeIndex, ValType};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// The function types of an engine. Concrete heap types in them are numbers of this registry.
#[derive(Debug, Default)]
pub struct TypeRegistry(RwLock<Types>);

#[derive(Debug, Default)]
struct Types {
    numbers: HashMap<FuncType, u32>,
    types: Vec<FuncType>,
}

/// The registry's number of each type of a module, and the types in terms of these numbers.
pub type RegisteredTypes = (Box<[u32]>, Box<[FuncType]>);

impl TypeRegistry {
    /// The number of a type.
    pub fn register(&self, ty: &FuncType) -> u32 {
        if let Some(&number) = self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(ty) {
            return number;
        }
        let mut types = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = types.numbers.get(ty) {
            return number;
        }
        let number = u32::try_from(types.types.len()).expect("fewer than 2^32 distinct types fit in memory");
        types.types.push(ty.clone());
        types.numbers.insert(ty.clone(), number);
        number
    }

    /// The type with a number.
    pub fn get(&self, number: u32) -> Option<FuncType> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).types.get(number as usize).cloned()
    }

    /// Registers the types of a module, which refer to earlier ones by index; their numbers and the types in terms of
    /// the registry's numbers. `Err`: this index refers to itself or to a later one.
    pub fn register_module(&self, types: &[FuncType]) -> Result<RegisteredTypes, usize> {
        let mut numbers: Vec<u32> = Vec::with_capacity(types.len());
        let mut canonical = Vec::with_capacity(types.len());
        for (index, ty) in types.iter().enumerate() {
            let all = |types: &[ValType]| types.iter().map(|&ty| canonical_val(ty, &numbers)).collect::<Option<_>>();
            let (Some(params), Some(results)) = (all(&ty.params), all(&ty.results)) else { return Err(index) };
            let ty = FuncType { params, results };
            numbers.push(self.register(&ty));
            canonical.push(ty);
        }
        Ok((numbers.into(), canonical.into()))
    }
}

/// A value type of a module in terms of the registry's numbers.
pub fn canonical_val(ty: ValType, numbers: &[u32]) -> Option<ValType> {
    Some(match ty {
        ValType::Ref(ty) => ValType::Ref(canonical_ref(ty, numbers)?),
        other => other,
    })
}

/// A reference type of a module in terms of the registry's numbers.
pub fn canonical_ref(ty: RefType, numbers: &[u32]) -> Option<RefType> {
    let heap = match ty.heap {
        HeapType::Concrete(TypeIndex(index)) => HeapType::Concrete(TypeIndex(*numbers.get(index as usize)?)),
        other => other,
    };
    Some(RefType { heap, ..ty })
}

/// Is every value of type `a` one of type `b`? Both in terms of the registry's numbers.
pub fn is_subtype(a: ValType, b: ValType) -> bool {
    match (a, b) {
        (ValType::Ref(a), ValType::Ref(b)) => is_ref_subtype(a, b),
        _ => a == b,
    }
}

/// Is every value of type `a` one of type `b`? Both in terms of the registry's numbers.
pub fn is_ref_subtype(a: RefType, b: RefType) -> bool {
    use HeapType::{Concrete, Extern, Func, NoExtern, NoFunc};
    (b.nullable || !a.nullable)
        && match (a.heap, b.heap) {
            (a, b) if a == b => true,
            (Concrete(_) | NoFunc, Func) | (NoFunc, Concrete(_)) | (NoExtern, Extern) => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_types_of_two_modules_have_one_number() {
        let registry = TypeRegistry::default();
        let binary = FuncType::new([ValType::I32, ValType::I32], [ValType::I32]);
        let takes = |index| {
            let ty = RefType { nullable: false, heap: HeapType::Concrete(TypeIndex(index)) };
            FuncType::new([ValType::Ref(ty)], [])
        };
        let (a, _) = registry.register_module(&[binary.clone(), takes(0)]).unwrap();
        let (b, canonical) = registry.register_module(&[FuncType::default(), binary, takes(1)]).unwrap();
        assert_eq!(a[..], b[1..]);
        assert_eq!(registry.get(b[2]).as_ref(), Some(&canonical[2]));
        assert_eq!(registry.register_module(&[takes(0)]), Err(0));
    }

    #[test]
    fn subtyping_of_references() {
        let concrete = HeapType::Concrete(TypeIndex(3));
        let null = |heap| RefType { nullable: true, heap };
        let some = |heap| RefType { nullable: false, heap };
        assert!(is_ref_subtype(some(concrete), null(HeapType::Func)));
        assert!(!is_ref_subtype(null(concrete), some(HeapType::Func)));
        assert!(is_ref_subtype(null(HeapType::NoFunc), null(concrete)));
        assert!(!is_ref_subtype(null(HeapType::Func), null(concrete)));
        assert!(!is_ref_subtype(null(HeapType::Func), null(HeapType::Extern)));
    }
}
