# The arguments of calls, for both debuggers.


def split_at_commas(text):
    """The arguments of a call."""
    parts, depth, quote, start = [], 0, None, 0
    for at, character in enumerate(text):
        if quote:
            quote = None if character == quote and text[at - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return parts + [text[start:]] if text.strip() else []
