# Steps pass over the C and C++ libraries that are linked into the guest where their sources are not on this machine, as they
# do natively, where these libraries have no debug information: wasi-libc and libc++ are distributed with it.

import os


class LibrariesWithoutSources:
    """Has `step` skip the files of such libraries (`info skip` shows them, `skip disable` and `skip delete` end that)."""

    # Functions of which most programs have one, a folder of the library's in whose file they are, and the library's folders.
    # As gdb has it, `*` stands for a part of a path, and the file's own path may begin with anything.
    LIBRARIES = [
        (
            ["malloc", "_start", "printf", "memcpy", "abort"],
            r"(?:dlmalloc|emmalloc|libc-top-half|libc-bottom-half)/",
            [
                "dlmalloc/src/*",
                "emmalloc/*",
                "libc-top-half/sources/*",
                "libc-top-half/musl/src/*/*",
                "libc-top-half/musl/src/*/*/*",
                "libc-bottom-half/*/*",
                "libc-bottom-half/cloudlibc/src/libc/*/*",
                "libc-bottom-half/cloudlibc/src/libc/*/*/*",
            ],
        ),
        (
            ["operator new", "operator delete", "__cxa_pure_virtual", "abort_message"],
            r"libcxx(?:abi)?/src/",
            # With the copies of its headers that it was built with.
            ["libcxx/src/*", "libcxx/src/*/*", "libcxxabi/src/*", "{0}*/*/include/c++/v1/*", "{0}*/*/include/c++/v1/*/*"],
        ),
    ]

    def __init__(self):
        self.known = set()
        self.skipped = set()
        gdb.events.stop.connect(self.at_stop)

    def at_stop(self, event):
        for objfile in gdb.objfiles():
            # The images that are registered have this name.
            if (objfile.filename or "").startswith("<in-memory@") and objfile.filename not in self.known:
                self.known.add(objfile.filename)
                self.skip_libraries_of(objfile)

    def skip_libraries_of(self, objfile):
        for functions, folder, patterns in self.LIBRARIES:
            for path in filter(None, (self.file_of(objfile, name) for name in functions)):
                found = re.search(r"(?:^|/)" + folder, path)
                if found and not os.path.exists(path):
                    before = re.sub(r"([*?\[\\])", r"[\1]", path[: found.start()] + "/")
                    for pattern in patterns:
                        self.skip(pattern.format(before))
                    break

    @staticmethod
    def file_of(objfile, name):
        symbol = objfile.lookup_global_symbol(name) or objfile.lookup_static_symbol(name)
        return symbol.symtab.fullname() if symbol and symbol.symtab else None

    def skip(self, pattern):
        # What was deleted stays so when the program is run again.
        if pattern not in self.skipped:
            self.skipped.add(pattern)
            gdb.execute("skip -gfi %s" % pattern, to_string=True)


if not hasattr(gdb, "wasmscope_libraries"):
    gdb.wasmscope_libraries = LibrariesWithoutSources()
