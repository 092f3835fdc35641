"""The BLAKE3 hash of 32 bytes, as its specification has it (default mode), for read_backup.py: Python's library has none.

Simple and slow: for the small files here.
"""

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK, BLOCK = 1024, 64
MASK = 0xFFFFFFFF


def rotate(word, bits):
    return (word >> bits | word << (32 - bits)) & MASK


def mix(state, a, b, c, d, x, y):
    for word, first, second in ((x, 16, 12), (y, 8, 7)):
        state[a] = (state[a] + state[b] + word) & MASK
        state[d] = rotate(state[d] ^ state[a], first)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = rotate(state[b] ^ state[c], second)


def compress(chaining, block, counter, flags):
    """The eight words that follow from eight words and a block of up to 64 bytes."""
    padded = block + bytes(BLOCK - len(block))
    words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, BLOCK, 4)]
    state = chaining + IV[:4] + [counter & MASK, counter >> 32, len(block), flags]
    for _ in range(7):
        for column in range(4):
            mix(state, column, 4 + column, 8 + column, 12 + column, words[2 * column], words[2 * column + 1])
        for row in range(4):
            a, b, c, d = row, 4 + (row + 1) % 4, 8 + (row + 2) % 4, 12 + (row + 3) % 4
            mix(state, a, b, c, d, words[8 + 2 * row], words[9 + 2 * row])
        words = [words[i] for i in PERMUTATION]
    return [state[i] ^ state[i + 8] for i in range(8)]


def chunk_words(chunk, counter, root):
    """Up to 1024 bytes, block after block."""
    chaining = IV
    blocks = [chunk[i : i + BLOCK] for i in range(0, len(chunk), BLOCK)] or [b""]
    for number, block in enumerate(blocks):
        flags = CHUNK_START if number == 0 else 0
        if number == len(blocks) - 1:
            flags |= CHUNK_END | (ROOT if root else 0)
        chaining = compress(chaining, block, counter, flags)
    return chaining


def tree_words(data, counter, root):
    """Chunks are the leaves; the left subtree is the largest full one that leaves something for the right."""
    if len(data) <= CHUNK:
        return chunk_words(data, counter, root)
    left = CHUNK
    while 2 * left < len(data):
        left *= 2
    children = tree_words(data[:left], counter, False) + tree_words(data[left:], counter + left // CHUNK, False)
    block = b"".join(word.to_bytes(4, "little") for word in children)
    return compress(IV, block, 0, PARENT | (ROOT if root else 0))


def blake3(data):
    """The digest of `data` in 64 lower-case hexadecimal digits."""
    return b"".join(word.to_bytes(4, "little") for word in tree_words(data, 0, True)).hex()
