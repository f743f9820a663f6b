;; Frames of every kind, for checks of the frame table: recursion, indirect calls, tail calls whose arguments grow and
;; shrink, callbacks through the host, traps of every kind, large frames, calls of built-in functions.
(module
  (type $binary (func (param i32 i32) (result i32)))
  (type $thunk (func))
  ;; Calls the table's function of that number with both values.
  (import "host" "call" (func $host (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table $table (export "table") 9 funcref)
  (elem (table $table) (i32.const 0) func $add $ackermann $even $shrink $large $grow $through_host)
  ;; 7 is null.
  (elem (table $table) (i32.const 8) func $trap_binary)

  (func $add (type $binary)
    (i32.add (local.get 0) (local.get 1)))

  (func $ackermann (type $binary)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.add (local.get 1) (i32.const 1)))
      (else
        (if (result i32) (i32.eqz (local.get 1))
          (then (return_call $ackermann (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
          (else
            (call $ackermann
              (i32.sub (local.get 0) (i32.const 1))
              (call $ackermann (local.get 0) (i32.sub (local.get 1) (i32.const 1)))))))))

  ;; Two arguments to twelve, and back.
  (func $even (type $binary)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (drop (call $add (local.get 0) (local.get 1)))
    (return_call $odd
      (i32.sub (local.get 0) (i32.const 1)) (local.get 1)
      (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
      (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 0)))

  (func $odd (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.add (local.get 1) (local.get 11)))))
    (drop (call $add (local.get 2) (local.get 11)))
    (return_call_indirect $table (type $binary)
      (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (local.get 10)) (i32.const 2)))

  (func $shrink (type $binary)
    (call $odd (local.get 0) (local.get 1)
      (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
      (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 1)))

  (func $through_host (type $binary)
    (if (i32.lt_s (local.get 0) (i32.const 1)) (then (return (local.get 1))))
    (i32.add
      (call $host (i32.const 6) (i32.sub (local.get 0) (i32.const 1)) (local.get 1))
      (call_indirect $table (type $binary) (local.get 0) (local.get 1)
        (i32.and (local.get 1) (i32.const 1)))))

  (func $grow (type $binary)
    (i32.add (memory.grow (i32.const 0)) (memory.size)))
  ;; Many values that are all needed to the end. The program that loads this module writes it.
  (;large;)

  (func $deep (param i32) (result i32)
    (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  ;; One round of all of it.
  (func (export "round") (param $seed i32) (result i32)
    (local $sum i32)
    (local.set $sum (call $ackermann (i32.const 2) (i32.and (local.get $seed) (i32.const 3))))
    (local.set $sum (i32.add (local.get $sum) (call $even (i32.and (local.get $seed) (i32.const 15)) (local.get $seed))))
    (local.set $sum (i32.add (local.get $sum) (call $shrink (i32.const 5) (local.get $seed))))
    (local.set $sum (i32.add (local.get $sum) (call $through_host (i32.const 4) (local.get $seed))))
    (local.set $sum (i32.add (local.get $sum) (call $large (local.get $seed) (local.get $sum))))
    (i32.add (local.get $sum)
      (call_indirect $table (type $binary)
        (i32.and (local.get $seed) (i32.const 3)) (i32.and (local.get $sum) (i32.const 7))
        (i32.rem_u (local.get $seed) (i32.const 6)))))

  ;; A short round: callbacks, one within the other, so many.
  (func (export "callbacks") (param $depth i32) (param $value i32) (result i32)
    (call $through_host (local.get $depth) (i32.shl (local.get $value) (i32.const 1))))

  ;; Traps in a callback of a callback: the host passes it on, twice.
  (func (export "trap_in_callback") (param $how i32) (result i32)
    (call $host (i32.const 8) (local.get $how) (i32.const 1)))

  (func $trap_binary (type $binary)
    (if (local.get 1) (then (return (call $host (i32.const 8) (local.get 0) (i32.const 0)))))
    (call $trap (local.get 0)))

  ;; Always traps, in a way that the number chooses.
  (func $trap (export "trap") (param $how i32) (result i32)
    (block $overflow (block $signature (block $null (block $bounds (block $memory (block $conversion (block $division
      (block $unreachable
        (br_table $unreachable $division $conversion $memory $bounds $null $signature $overflow (local.get $how)))
      (unreachable))
      (return (i32.div_s (i32.const 7) (i32.mul (local.get $how) (i32.const 0)))))
      (return (i32.trunc_f64_s (f64.const 1e40))))
      (return (i32.load (i32.const -8))))
      (return (call_indirect $table (type $binary) (i32.const 1) (i32.const 2) (i32.const 99))))
      (return (call_indirect $table (type $binary) (i32.const 1) (i32.const 2) (i32.const 7))))
      (call_indirect $table (type $thunk) (i32.const 0))
      (return (i32.const 0)))
    (call $deep (i32.const 0))))
