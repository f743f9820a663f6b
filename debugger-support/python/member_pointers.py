# What pointers to members say, for both debuggers.


def class_of_member_pointer(name):
    """`Class` of `int (Class::*)` and of `int (Class::*)(int)`."""
    end = name.rfind("::*")
    depth, at = 0, end
    while at > 0:
        character = name[at - 1]
        depth += (character in ">)") - (character in "<(")
        if depth < 0 or depth == 0 and character == " ":
            break
        at -= 1
    return name[at:end]


def data_member_text(offset, class_name, member_at):
    """`member_at` is given the offset."""
    if offset == -1:
        return "NULL"
    member = member_at(offset)
    return "&" + member if member else "offset %d in %s" % (offset, class_name)


def member_function_text(function, adjustment, virtual_function, symbol):
    """`virtual_function` is given the function's place in the virtual table and the adjustment, `symbol` its table index."""
    virtual, adjustment = adjustment & 1, adjustment >> 1
    if virtual:
        text = "&virtual " + virtual_function(function, adjustment)
    elif function == 0:
        return "NULL"
    else:
        text = "&" + (symbol(function) or "function %d" % function)
    return "%s, this adjustment %d" % (text, adjustment) if adjustment else text
