//! Names as people write them.

/// The demangled name, or the name itself.
pub fn demangle(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        // Without the hash: it tells nothing to a reader.
        return format!("{rust:#}");
    }
    // The demangler of C++ takes time that grows with nested substitutions; real names are shorter than this.
    if name.len() < 4096
        && let Some(mangled) = name.strip_prefix('_').filter(|rest| rest.starts_with('Z')).map(|_| name)
        && let Ok(symbol) = cpp_demangle::Symbol::new(mangled)
        && let Ok(demangled) = symbol.demangle()
    {
        return demangled;
    }
    name.to_owned()
}

/// Demangles unless told not to.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub demangle: bool,
}

impl Names {
    pub fn show(self, name: &str) -> String {
        if self.demangle { demangle(name) } else { name.to_owned() }
    }
}

/// Does a function with this name and index answer to what the user asked for?
pub fn matches(wanted: Option<&str>, index: Option<u32>, name: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    if let Ok(number) = wanted.parse::<u32>() {
        return index == Some(number);
    }
    let Some(name) = name else { return false };
    if name == wanted {
        return true;
    }
    let demangled = demangle(name);
    // `main` is `app::main` and `main()`, but not `remaining`.
    let without_arguments = demangled.split('(').next().unwrap_or_default();
    demangled == wanted
        || without_arguments == wanted
        || without_arguments.strip_suffix(wanted).is_some_and(|rest| rest.ends_with("::"))
}
