//! Compiles the shim that keeps the longjmps of libjpeg-turbo out of Rust.

fn main() {
    println!("cargo:rerun-if-changed=src/jpeg/shim.c");
    println!("cargo:rerun-if-changed=build.rs");
    // What turbojpeg-sys built the library from says where its headers are.
    let headers = std::env::var("DEP_TURBOJPEG_INCLUDE").expect("turbojpeg-sys tells its headers");
    cc::Build::new()
        .file("src/jpeg/shim.c")
        .includes(headers.split(','))
        .std("c99")
        .extra_warnings(true)
        // A parameter that only one side of a callback needs.
        .flag_if_supported("-Wno-clobbered")
        .compile("vna_jpeg");
}
