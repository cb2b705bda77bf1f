;; WASI preview 1 where there is nothing: what a policy is linked with that was built for WASI.
;;
;; `wasm-component-ld` puts it between the policy and the imports it would have, so that none are left. Whatever a
;; policy is told here is the same each time: no arguments, no environment, no open file, the first instant of 1970, and
;; bytes that look like chance and are the same sequence in every instance. Ending the program ends the decision, which
;; denies. A call that means nothing here answers with an error number, by
;; https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md.
(module
  (import "env" "memory" (memory 0))
  ;; The errors: there is no such open file, and there is no such thing.
  (global $badf i32 (i32.const 8))
  (global $nosys i32 (i32.const 52))
  ;; How much of the sequence is used; every decision is in a new instance, and begins at its beginning.
  (global $drawn (mut i64) (i64.const 0))

  ;; SplitMix64, a byte of each number.
  (func (export "random_get") (param $to i32) (param $len i32) (result i32)
    (local $end i32) (local $x i64)
    (local.set $end (i32.add (local.get $to) (local.get $len)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $to) (local.get $end)))
        (global.set $drawn (i64.add (global.get $drawn) (i64.const 0x9e3779b97f4a7c15)))
        (local.set $x (global.get $drawn))
        (local.set $x (i64.mul
          (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 30))) (i64.const 0xbf58476d1ce4e5b9)))
        (local.set $x (i64.mul
          (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 27))) (i64.const 0x94d049bb133111eb)))
        (i64.store8 (local.get $to) (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 31))))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  (func (export "clock_time_get") (param i32 i64) (param $to i32) (result i32)
    (i64.store (local.get $to) (i64.const 0))
    (i32.const 0))
  (func (export "clock_res_get") (param i32) (param $to i32) (result i32)
    (i64.store (local.get $to) (i64.const 1))
    (i32.const 0))

  (func $none (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func $no_list (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $no_list))
  (export "environ_get" (func $no_list))

  (func (export "proc_exit") (param i32) unreachable)
  (func (export "sched_yield") (result i32) (i32.const 0))

  (func $badf_iIIi (param i32 i64 i64 i32) (result i32) (global.get $badf))
  (export "fd_advise" (func $badf_iIIi))
  (export "fd_filestat_set_times" (func $badf_iIIi))
  (func $badf_iII (param i32 i64 i64) (result i32) (global.get $badf))
  (export "fd_allocate" (func $badf_iII))
  (export "fd_fdstat_set_rights" (func $badf_iII))
  (func $badf_i (param i32) (result i32) (global.get $badf))
  (export "fd_close" (func $badf_i))
  (export "fd_datasync" (func $badf_i))
  (export "fd_sync" (func $badf_i))
  (func $badf_ii (param i32 i32) (result i32) (global.get $badf))
  (export "fd_fdstat_get" (func $badf_ii))
  (export "fd_fdstat_set_flags" (func $badf_ii))
  (export "fd_filestat_get" (func $badf_ii))
  (export "fd_prestat_get" (func $badf_ii))
  (export "fd_renumber" (func $badf_ii))
  (export "fd_tell" (func $badf_ii))
  (export "sock_shutdown" (func $badf_ii))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (global.get $badf))
  (func $badf_iiiIi (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (export "fd_pread" (func $badf_iiiIi))
  (export "fd_pwrite" (func $badf_iiiIi))
  (export "fd_readdir" (func $badf_iiiIi))
  (func $badf_iii (param i32 i32 i32) (result i32) (global.get $badf))
  (export "fd_prestat_dir_name" (func $badf_iii))
  (export "path_create_directory" (func $badf_iii))
  (export "path_remove_directory" (func $badf_iii))
  (export "path_unlink_file" (func $badf_iii))
  (export "sock_accept" (func $badf_iii))
  (func $badf_iiii (param i32 i32 i32 i32) (result i32) (global.get $badf))
  (export "fd_read" (func $badf_iiii))
  (export "fd_write" (func $badf_iiii))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (global.get $badf))
  (func $badf_iiiii (param i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (export "path_filestat_get" (func $badf_iiiii))
  (export "path_symlink" (func $badf_iiiii))
  (export "sock_send" (func $badf_iiiii))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (global.get $badf))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (global.get $badf))
  (func $badf_iiiiii (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (export "path_readlink" (func $badf_iiiiii))
  (export "path_rename" (func $badf_iiiiii))
  (export "sock_recv" (func $badf_iiiiii))

  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "proc_raise") (param i32) (result i32) (global.get $nosys))
)
