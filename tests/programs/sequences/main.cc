// Containers of libc++ that the other programs do not have.
#include <array>
#include <bitset>
#include <deque>
#include <forward_list>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

static int sum(std::initializer_list<int> values) {
    int total = 0;
    for (int value : values)
        total += value;
    return total;
}

static int views(const char *text) {
    int before = 1;
    std::string_view view = text;
    return before + static_cast<int>(view.size());
}

struct Named : std::vector<int> {
    using std::vector<int>::vector;
    std::string name = "a vector";
};

static int walk(const std::string &key) {
    std::map<std::string, std::vector<int>> nested{{"one", {1}}, {"two", {2, 22}}};
    std::unordered_map<int, std::string> words{{7, "seven"}, {8, "eight"}};
    std::list<std::unique_ptr<std::pair<int, int>>> owned;
    owned.push_back(std::make_unique<std::pair<int, int>>(5, 6));
    std::set<char> letters{'a', 'c'};
    std::vector<bool> bits{true, false, true};
    std::optional<std::pair<int, int>> place{{3, 4}}, nowhere;
    std::shared_ptr<Named> shared = std::make_shared<Named>(Named{4, 5, 6});
    std::weak_ptr<Named> weak = shared;
    std::string_view view = key;
    auto entry = nested.find(key);
    auto word = words.find(7);
    auto letter = letters.find('c');
    auto number = shared->begin();
    auto last = shared->rbegin();
    auto pointer = owned.begin();
    // What was never written may look like this: a map whose only node is its own child and parent.
    alignas(8) static unsigned char bytes[sizeof(std::map<int, int>)];
    auto &broken = *new (bytes) std::map<int, int>{{1, 10}};
    unsigned long **fields = reinterpret_cast<unsigned long **>(bytes);
    unsigned long *node = fields[0];
    node[0] = node[1] = node[2] = reinterpret_cast<unsigned long>(node);
    fields[2] = reinterpret_cast<unsigned long *>(5);
    return entry->second[1] + word->first + *letter + *number + *last + (*pointer)->first + bits[0] + place->first + weak.expired() + view[0] +
           nowhere.has_value() + static_cast<int>(broken.size());
}

extern "C" int run() {
    std::deque<double> deque{1.5, 2.5};
    deque.push_front(0.5);
    std::forward_list<char> forward{'x', 'y'};
    std::stack<int> stack;
    stack.push(4);
    stack.push(5);
    std::priority_queue<int> heap;
    heap.push(2);
    std::array<short, 2> array{1, 2};
    std::array<short, 0> nothing;
    std::bitset<40> mask(0x8000000005ull);
    std::variant<int, const char *, double> variant = 2.5;
    std::tuple<int, char, const char *> tuple{1, 'c', "three"};
    auto [number, letter, text] = tuple;
    std::string names[3] = {"one", "two", "a name that is longer than the others"};
    std::string(*names_by_pointer)[3] = &names;
    std::deque<int> lists[2] = {{1, 2}, {3}};
    int total = sum({1, 2, 3}) + views(text) + walk("two");
    return total + stack.top() + heap.top() + array[0] + static_cast<int>(mask.count()) + number + letter +
           static_cast<int>(variant.index() + nothing.size() + (*names_by_pointer)[0].size() + lists[0].size());
}

extern "C" void __cxa_atexit() {}
