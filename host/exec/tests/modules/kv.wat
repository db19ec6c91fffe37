;; A module written by hand. Its functions are told apart by the first letter of their names; arguments are a key and a
;; value (u64 each) or nothing, so that a row of every table here is its arguments with the version set to 1.
(module
  (import "isx:module/tables@0.1.0" "open" (func $open (param i32 i32 i32 i32 i32)))
  (import "isx:module/tables@0.1.0" "get" (func $get (param i32 i32 i32 i32)))
  (import "isx:module/tables@0.1.0" "find" (func $find (param i32 i32 i32 i32 i32)))
  (import "isx:module/tables@0.1.0" "insert" (func $insert (param i32 i32 i32 i32)))
  (import "isx:module/tables@0.1.0" "update" (func $update (param i32 i32 i32 i32)))
  (import "isx:module/tables@0.1.0" "delete" (func $delete (param i32 i32 i32 i32)))
  (import "isx:module/tables@0.1.0" "scan" (func $scan (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "isx:module/context@0.1.0" "caller" (func $caller (param i32)))
  (import "isx:module/context@0.1.0" "time" (func $time (result i64)))
  (import "isx:module/context@0.1.0" "random" (func $random (param i32 i32)))
  (import "isx:module/log@0.1.0" "write" (func $write (param i32 i32 i32)))

  (memory (export "memory") 2)
  (table $functions 1 funcref)
  (data (i32.const 512) "\00\00")
  (data (i32.const 600) "kv")
  (data (i32.const 610) "refused\ff")
  ;; the error 42: version 0, then a u8
  (data (i32.const 620) "\00\00\2a")
  (global $heap (mut i32) (i32.const 4096))
  (global $warm (mut i32) (i32.const 0))

  (func $allocate (export "cabi_realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $at) (local.get $bytes)) (i32.const 7)) (i32.const -8)))
    (if (i32.gt_u (global.get $heap) (i32.shl (memory.size) (i32.const 16)))
      (then (drop (memory.grow (i32.add (i32.shr_u (local.get $bytes) (i32.const 16)) (i32.const 1))))))
    (local.get $at))
  (func (export "cabi_post_call") (param i32) (global.set $heap (i32.const 4096)))

  ;; answers, at 1024
  (func $ok (param $at i32) (param $length i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (local.get $at))
    (i32.store (i32.const 1032) (local.get $length))
    (i32.const 1024))
  (func $ok_nothing (result i32) (call $ok (i32.const 512) (i32.const 2)))
  (func $ok_u64 (param $value i64) (result i32)
    (i32.store16 (i32.const 520) (i32.const 0))
    (i64.store (i32.const 522) (local.get $value))
    (call $ok (i32.const 520) (i32.const 10)))
  (func $application (param $text_length i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 (i32.const 1028) (i32.const 0))
    (i32.store (i32.const 1032) (i32.const 620))
    (i32.store (i32.const 1036) (i32.const 3))
    (i32.store (i32.const 1040) (i32.const 610))
    (i32.store (i32.const 1044) (local.get $text_length))
    (i32.const 1024))
  (func $fault (result i32)
    (i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 (i32.const 1028) (i32.const 1))
    (i32.store16 (i32.const 1032) (i32.load16_u (i32.const 2052)))
    (i32.store (i32.const 1036) (i32.load (i32.const 2056)))
    (i32.store (i32.const 1040) (i32.load (i32.const 2060)))
    (i32.const 1024))
  (func $absent (result i32)
    (i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 (i32.const 1028) (i32.const 2))
    (i32.const 1024))

  (func $failed (result i32) (i32.load8_u (i32.const 2048)))
  ;; the memcomparable key of the u64 at $from, at 700
  (func $key (param $from i32)
    (local $i i32)
    (loop $next
      (i32.store8 (i32.add (i32.const 700) (local.get $i))
        (i32.load8_u (i32.add (local.get $from) (i32.sub (i32.const 7) (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 8)))))
  (func $insert_row (param $table i32) (param $arguments i32)
    (i32.store16 (local.get $arguments) (i32.const 1))
    (call $insert (local.get $table) (local.get $arguments) (i32.const 18) (i32.const 2048)))
  (func $finish (result i32) (if (result i32) (call $failed) (then (call $fault)) (else (call $ok_nothing))))

  ;; the value under the key at $arguments; 0 for none
  (func $value (param $arguments i32) (result i64)
    (call $key (i32.add (local.get $arguments) (i32.const 2)))
    (call $open (i32.const 600) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 2048))
    (call $get (i32.load (i32.const 2052)) (i32.const 700) (i32.const 8) (i32.const 2048))
    (if (result i64) (i32.load8_u (i32.const 2052))
      (then (i64.load (i32.add (i32.load (i32.const 2056)) (i32.const 10))))
      (else (i64.const 0))))

  ;; "bump": one more under a key
  (func $bump (param $arguments i32) (result i32)
    (local $value i64)
    (local.set $value (i64.add (call $value (local.get $arguments)) (i64.const 1)))
    (i64.store (i32.add (local.get $arguments) (i32.const 10)) (local.get $value))
    (i32.store16 (local.get $arguments) (i32.const 1))
    (if (i64.eq (local.get $value) (i64.const 1))
      (then (call $insert (i32.const 2) (local.get $arguments) (i32.const 18) (i32.const 2048)))
      (else (call $update (i32.const 2) (local.get $arguments) (i32.const 18) (i32.const 2048))))
    (if (result i32) (call $failed) (then (call $fault)) (else (call $ok_u64 (local.get $value)))))

  ;; "scan": the sum of all values, one row a chunk
  (func $sum (result i32)
    (local $sum i64) (local $more i32) (local $at i32) (local $length i32)
    (loop $next
      (call $scan (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 1) (local.get $more) (local.get $at) (local.get $length) (i32.const 1) (i32.const 2048))
      (if (i32.load (i32.const 2056))
        (then (local.set $sum (i64.add (local.get $sum) (i64.load (i32.add (i32.load (i32.const 2052)) (i32.const 14)))))))
      (local.set $more (i32.load8_u (i32.const 2060)))
      (local.set $at (i32.load (i32.const 2064)))
      (local.set $length (i32.load (i32.const 2068)))
      (br_if $next (local.get $more)))
    (call $ok_u64 (local.get $sum)))

  ;; "warm": computes something once in an instance and keeps it
  (func $warm_up
    (local $i i32)
    (if (i32.eqz (global.get $warm))
      (then
        (local.set $i (i32.const 20000))
        (loop $next
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br_if $next (local.get $i)))
        (global.set $warm (i32.const 1)))))

  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $random_u64 (result i32)
    (call $random (i32.const 8) (i32.const 2048))
    (call $ok_u64 (i64.load (i32.load (i32.const 2052)))))

  (func (export "call") (param $name i32) (param $name_length i32) (param $arguments i32) (param $length i32) (result i32)
    (local $f i32)
    (local.set $f (i32.load8_u (local.get $name)))
    ;; add
    (if (i32.eq (local.get $f) (i32.const 0x61)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $finish))))
    ;; bump
    (if (i32.eq (local.get $f) (i32.const 0x62)) (then (return (call $bump (local.get $arguments)))))
    ;; chain, and its hook: key + 1 as long as the value lasts
    (if (i32.eq (local.get $f) (i32.const 0x63)) (then
      (call $insert_row (i32.const 1) (local.get $arguments)) (return (call $finish))))
    (if (i32.eq (local.get $f) (i32.const 0x64)) (then
      (if (i64.eqz (i64.load (i32.add (local.get $arguments) (i32.const 10)))) (then (return (call $ok_nothing))))
      (i64.store (i32.add (local.get $arguments) (i32.const 10))
        (i64.sub (i64.load (i32.add (local.get $arguments) (i32.const 10))) (i64.const 1)))
      (i64.store (i32.add (local.get $arguments) (i32.const 2))
        (i64.add (i64.load (i32.add (local.get $arguments) (i32.const 2))) (i64.const 1)))
      (call $insert_row (i32.const 1) (local.get $arguments)) (return (call $finish))))
    ;; erase
    (if (i32.eq (local.get $f) (i32.const 0x65)) (then
      (call $key (i32.add (local.get $arguments) (i32.const 2)))
      (call $delete (i32.const 2) (i32.const 700) (i32.const 8) (i32.const 2048)) (return (call $finish))))
    ;; fail: with its own error, after a change
    (if (i32.eq (local.get $f) (i32.const 0x66)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $application (i32.const 7)))))
    ;; get
    (if (i32.eq (local.get $f) (i32.const 0x67)) (then (return (call $ok_u64 (call $value (local.get $arguments))))))
    ;; huge: an answer of a megabyte and more
    (if (i32.eq (local.get $f) (i32.const 0x68)) (then
      (call $insert_row (i32.const 2) (local.get $arguments))
      (drop (memory.grow (i32.const 64))) (return (call $ok (i32.const 0) (i32.const 2000000)))))
    ;; init
    (if (i32.eq (local.get $f) (i32.const 0x69)) (then
      (i64.store (i32.const 802) (i64.const 7)) (i64.store (i32.const 810) (i64.const 49))
      (call $insert_row (i32.const 2) (i32.const 800)) (return (call $finish))))
    ;; junk: an answer that is none
    (if (i32.eq (local.get $f) (i32.const 0x6a)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $ok (i32.const 512) (i32.const 9)))))
    ;; keep_log
    (if (i32.eq (local.get $f) (i32.const 0x6b)) (then
      (call $write (i32.const 2) (i32.const 610) (i32.const 7)) (return (call $ok_nothing))))
    ;; loop
    (if (i32.eq (local.get $f) (i32.const 0x6c)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (loop $ever (br $ever))))
    ;; memory
    (if (i32.eq (local.get $f) (i32.const 0x6d)) (then
      (call $insert_row (i32.const 2) (local.get $arguments))
      (loop $more (drop (memory.grow (i32.const 256))) (br $more))))
    ;; nest
    (if (i32.eq (local.get $f) (i32.const 0x6e)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (drop (call $recurse (i32.const 0)))))
    ;; on_add: the hook on kv
    (if (i32.eq (local.get $f) (i32.const 0x6f)) (then
      (call $insert_row (i32.const 0) (local.get $arguments)) (return (call $finish))))
    ;; pretend: touches what it does not declare
    (if (i32.eq (local.get $f) (i32.const 0x70)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $ok_nothing))))
    ;; question: a query that changes something
    (if (i32.eq (local.get $f) (i32.const 0x71)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $ok_u64 (i64.const 0)))))
    ;; random, z_random: as a reducer and as a query
    (if (i32.eq (local.get $f) (i32.const 0x72)) (then (return (call $random_u64))))
    (if (i32.eq (local.get $f) (i32.const 0x7a)) (then (return (call $random_u64))))
    ;; sum
    (if (i32.eq (local.get $f) (i32.const 0x73)) (then (return (call $sum))))
    ;; trap
    (if (i32.eq (local.get $f) (i32.const 0x74)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (unreachable)))
    ;; utf8: an error whose text is not UTF-8
    (if (i32.eq (local.get $f) (i32.const 0x75)) (then
      (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $application (i32.const 8)))))
    ;; vast_table: a table of functions without end
    (if (i32.eq (local.get $f) (i32.const 0x76)) (then
      (call $insert_row (i32.const 2) (local.get $arguments))
      (loop $more (drop (table.grow $functions (ref.null func) (i32.const 10000))) (br $more))))
    ;; warm
    (if (i32.eq (local.get $f) (i32.const 0x77)) (then
      (call $warm_up) (call $insert_row (i32.const 2) (local.get $arguments)) (return (call $finish))))
    ;; x_caller: who calls, and when
    (if (i32.eq (local.get $f) (i32.const 0x78)) (then
      (call $caller (i32.const 2048))
      (return (call $ok_u64 (i64.add (call $time) (i64.load (i32.load (i32.const 2048))))))))
    (call $absent)))
