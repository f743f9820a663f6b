/* References to host values in C: parameters, locals, a table. */
static __externref_t kept[0];

__attribute__((noinline)) int count(__externref_t value, int times) {
  __externref_t again = value;
  __builtin_wasm_table_set(kept, 1, again);
  times += __builtin_wasm_table_size(kept);
  return times;
}

__attribute__((export_name("keep"))) int keep(__externref_t value) {
  __builtin_wasm_table_grow(kept, __builtin_wasm_ref_null_extern(), 4);
  __builtin_wasm_table_set(kept, 0, value);
  __externref_t back = __builtin_wasm_table_get(kept, 0);
  int before = 3;
  int total = count(back, before);
  return total + 1;
}
