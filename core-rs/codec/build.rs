//! Compiles the shims that keep the longjmps of libjpeg-turbo and the exceptions of OpenJPH out of Rust, and OpenJPH.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    jpeg();
    openjph();
}

fn jpeg() {
    println!("cargo:rerun-if-changed=src/jpeg/shim.c");
    // What turbojpeg-sys built the library from says where its headers are.
    let headers = std::env::var("DEP_TURBOJPEG_INCLUDE").expect("turbojpeg-sys tells its headers");
    cc::Build::new()
        .file("src/jpeg/shim.c")
        .includes(headers.split(','))
        .std("c99")
        .extra_warnings(true)
        .compile("vna_jpeg");
}

/// What the sources that are named so need the compiler to know; they are chosen at run time.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("_sse", &["-msse"]),
    ("_sse2", &["-msse2"]),
    ("_ssse3", &["-mssse3"]),
    ("_avx", &["-mavx"]),
    ("_avx2", &["-mavx2"]),
    ("_avx512", &["-mavx512f", "-mavx512cd"]),
];

fn openjph() {
    println!("cargo:rerun-if-changed=vendor/openjph");
    println!("cargo:rerun-if-changed=src/jpeg2000/shim.cpp");
    println!("cargo:rerun-if-changed=src/jpeg2000/checked");
    let is_x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    let sources = sources();
    let of = |extension: &str| -> Vec<&PathBuf> {
        let named = |source: &&PathBuf| {
            let stem = source.file_stem().unwrap_or_default().to_string_lossy();
            let found = EXTENSIONS.iter().find(|(name, _)| stem.ends_with(name));
            found.map_or("", |(name, _)| name) == extension
        };
        sources.iter().filter(named).collect()
    };
    let mut objects = Vec::new();
    for (extension, flags) in EXTENSIONS.iter().filter(|_| is_x86) {
        let mut build = compiler();
        flags.iter().for_each(|flag| {
            build.flag(flag);
        });
        objects.extend(build.files(of(extension)).compile_intermediates());
    }
    let mut memory = cc::Build::new();
    memory.file("vendor/openjph/others/ojph_mem_c.c");
    memory.define("OJPH_POSIX_MEMALIGN_EXISTS", None);
    memory.define("NDEBUG", None);
    objects.extend(memory.compile_intermediates());
    compiler()
        .files(of(""))
        .file("src/jpeg2000/shim.cpp")
        .objects(objects)
        .compile("openjph");
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++14")
        .include("src/jpeg2000/checked")
        .include("vendor/openjph/openjph")
        .define("_FILE_OFFSET_BITS", "64")
        .warnings(false);
    let is_x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    if !is_x86 {
        build.define("OJPH_DISABLE_SIMD", None);
    }
    build
}

fn sources() -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for folder in ["codestream", "coding", "others", "transform"] {
        let folder = Path::new("vendor/openjph").join(folder);
        for entry in folder.read_dir().expect("the folder is in the repository") {
            let path = entry.expect("it can be read").path();
            if path.extension().is_some_and(|extension| extension == "cpp") {
                sources.push(path);
            }
        }
    }
    sources.sort();
    sources
}
