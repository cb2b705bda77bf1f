//! The bindings of world `described`.

wasmtime::component::bindgen!({
    path: [
        "../../wit/deps/io.wit",
        "../../wit/deps/clocks.wit",
        "../../wit/deps/random.wit",
        "../../wit/deps/filesystem.wit",
        "../../wit/deps/sockets.wit",
        "../../wit/deps/cli.wit",
        "../../wit/tool",
    ],
    world: "ringfence:tool/described",
    exports: { default: async },
});
