//! A program in zig itself: tagged unions, optional pointers, slices, errors. For zig 0.13.

const std = @import("std");

/// Without the library's own, which would be most of the module.
pub fn panic(_: []const u8, _: ?*std.builtin.StackTrace, _: ?usize) noreturn {
    @trap();
}

const Kind = enum(u8) { fruit, spice, bread };
const Price = union(enum) { free, cents: u32, unknown: []const u8 };
const Item = struct { name: []const u8, kind: Kind, price: Price, next: ?*const Item = null };

fn total(first: ?*const Item) u32 {
    var sum: u32 = 0;
    var it = first;
    while (it) |item| : (it = item.next) {
        sum += switch (item.price) {
            .free => 0,
            .cents => |cents| cents,
            .unknown => |text| @intCast(text.len),
        };
    }
    return sum;
}

const Fault = error{ TooMuch, Nothing };

fn check(sum: u32) Fault!u32 {
    if (sum > 1000) return error.TooMuch;
    return if (sum == 0) error.Nothing else sum;
}

export fn calculate(count: u32) u32 {
    const bread = Item{ .name = "rye", .kind = .bread, .price = .{ .cents = 250 } };
    const saffron = Item{ .name = "saffron", .kind = .spice, .price = .{ .unknown = "much" }, .next = &bread };
    var numbers = [_]u32{ 1, 2, 3, count };
    const slice = numbers[1..];
    var sum = total(&saffron);
    for (slice, 0..) |number, index| sum += number * @as(u32, @intCast(index));
    const checked = check(sum) catch |fault| switch (fault) {
        error.TooMuch => 1000,
        error.Nothing => 0,
    };
    return checked;
}
