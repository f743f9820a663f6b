// Runs a script that exercises the interpreter's core.
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include <stdio.h>

static const char script[] = "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end\n"
                             "local words = {}\n"
                             "for word in ('one two three'):gmatch('%a+') do words[#words + 1] = word end\n"
                             "table.sort(words)\n"
                             "print(fib(12), table.concat(words, ','), string.format('%5.2f', 3.14159))\n";

int main(void) {
    lua_State *state = luaL_newstate();
    luaL_requiref(state, "_G", luaopen_base, 1);
    luaL_requiref(state, "string", luaopen_string, 1);
    luaL_requiref(state, "table", luaopen_table, 1);
    lua_settop(state, 0);
    int status = luaL_loadstring(state, script) || lua_pcall(state, 0, 0, 0);
    if (status)
        printf("error: %s\n", lua_tostring(state, -1));
    lua_close(state);
    return status;
}
