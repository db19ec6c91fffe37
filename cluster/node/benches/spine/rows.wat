;; Inserts its arguments: as the columns of a table are its reducer's arguments, their records differ in the version only.
;; `item` inserts into table 0, `plain` into table 1.
(module
  (import "isx:module/tables@0.1.0" "insert" (func $insert (param i32 i32 i32 i32)))
  (memory (export "memory") 2)
  ;; the encoding of nothing
  (data (i32.const 512) "\00\00")
  (global $heap (mut i32) (i32.const 4096))

  (func (export "cabi_realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $at) (local.get $bytes)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func (export "cabi_post_call") (param i32) (global.set $heap (i32.const 4096)))

  (func (export "call") (param $name i32) (param $name_length i32) (param $arguments i32) (param $length i32) (result i32)
    (i32.store16 (local.get $arguments) (i32.const 1))
    (call $insert
      (i32.eq (i32.load8_u (local.get $name)) (i32.const 0x70))
      (local.get $arguments) (local.get $length) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (unreachable)))
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (i32.const 512))
    (i32.store (i32.const 1032) (i32.const 2))
    (i32.const 1024)))
