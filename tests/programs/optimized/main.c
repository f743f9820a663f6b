// Shortest ways in a grid. Optimized, `c` and `next` share a wasm local, one after the other.
struct queue {
    int items[16];
    int head, tail;
};

static void push(struct queue *queue, int item) {
    queue->items[queue->tail] = item;
    queue->tail = (queue->tail + 1) % 16;
}

static int pop(struct queue *queue) {
    int item = queue->items[queue->head];
    queue->head = (queue->head + 1) % 16;
    return item;
}

__attribute__((noinline)) static int reach(unsigned char grid[8][8], int start, int goal) {
    int distance[64];
    struct queue queue = {.head = 0, .tail = 0};
    for (int i = 0; i < 64; i++)
        distance[i] = -1;
    distance[start] = 0;
    push(&queue, start);
    while (queue.head != queue.tail) {
        int place = pop(&queue);
        int row = place / 8, column = place % 8;
        if (place == goal)
            break;
        static const int steps[4][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}};
        for (int s = 0; s < 4; s++) {
            int r = row + steps[s][0];
            int c = column + steps[s][1];
            if (r < 0 || r >= 8 || c < 0 || c >= 8 || grid[r][c])
                continue;
            int next = r * 8 + c;
            if (distance[next] < 0) {
                distance[next] = distance[place] + 1;
                push(&queue, next);
            }
        }
    }
    return distance[goal];
}

int main(void) {
    unsigned char grid[8][8] = {{0, 0, 1}, {1, 0, 1}, {0, 0, 0}};
    return reach(grid, 0, 36);
}
