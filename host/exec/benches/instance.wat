;; `gets` reads 1,000 rows of table 0, `noop` none. Both take a first number and the number of rows there are: the rows
;; are read at (first + 0..1000) * 7919 modulo that number, so that neighbours in time are far apart in the table.
(module
  (import "isx:module/tables@0.1.0" "get" (func $get (param i32 i32 i32 i32)))
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

  ;; the memcomparable key of a u64, at 704
  (func $key (param $id i64)
    (local $i i32)
    (loop $next
      (i32.store8 (i32.add (i32.const 704) (local.get $i))
        (i32.wrap_i64 (i64.shr_u (local.get $id) (i64.extend_i32_u (i32.sub (i32.const 56) (i32.shl (local.get $i) (i32.const 3)))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 8)))))

  (func $gets (param $first i64) (param $rows i64)
    (local $i i64) (local $heap i32)
    (local.set $heap (global.get $heap))
    (loop $next
      (call $key (i64.rem_u (i64.mul (i64.add (local.get $first) (local.get $i)) (i64.const 7919)) (local.get $rows)))
      (call $get (i32.const 0) (i32.const 704) (i32.const 8) (i32.const 2048))
      ;; an error, or no row
      (if (i32.or (i32.load8_u (i32.const 2048)) (i32.eqz (i32.load8_u (i32.const 2052)))) (then (unreachable)))
      (global.set $heap (local.get $heap))
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $next (i64.lt_u (local.get $i) (i64.const 1000)))))

  (func (export "call") (param $name i32) (param $name_length i32) (param $arguments i32) (param $length i32) (result i32)
    (if (i32.eq (i32.load8_u (local.get $name)) (i32.const 0x67))
      (then (call $gets (i64.load offset=2 (local.get $arguments)) (i64.load offset=10 (local.get $arguments)))))
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (i32.const 512))
    (i32.store (i32.const 1032) (i32.const 2))
    (i32.const 1024)))
