// What was counted, for ctypes (fake_reset, fake_count, fake_kernels, fake_report) and, with FAKE_COUNTERS=FOLDER, for
// other processes: the table then lies in the file FOLDER/PID, which outlives the process however it ends.
#include <cxxabi.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "fake.h"

namespace fake {

constexpr int NAME_LENGTH = 32;
constexpr size_t KERNEL_NAME = 160;  // characters of a kernel's name in a report; templates make thousands
const char* const NAMES[] = {"kernels",        "copies",   "copies_to_device", "copies_to_host", "synchronisations",
                             "events",         "captures", "captured_nodes",   "stray_launches", "graph_launches",
                             "replayed_nodes", "refused",  "contexts"};
static_assert(sizeof NAMES / sizeof *NAMES == QUANTITIES);

struct Row {
    char name[NAME_LENGTH];
    long on[MOST_DEVICES];
};

static std::unordered_map<const void*, long> launches;      // by the host's address of the kernel, or of its name
static std::unordered_map<const void*, std::string> names;  // of kernels, mangled

std::recursive_mutex& lock() {
    static std::recursive_mutex mutex;
    return mutex;
}

static Row* new_table() {
    size_t size = QUANTITIES * sizeof(Row);
    int file = -1;
    if (const char* folder = getenv("FAKE_COUNTERS")) {
        std::string path = std::string(folder) + "/" + std::to_string(getpid());
        file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (file < 0 || ftruncate(file, size) != 0) {
            fprintf(stderr, "[fake] %s cannot be written\n", path.c_str());
            abort();
        }
    }
    int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    Row* table = static_cast<Row*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, file, 0));
    if (file >= 0) {
        close(file);
    }
    for (int what = 0; what < QUANTITIES; what++) {
        strncpy(table[what].name, NAMES[what], NAME_LENGTH - 1);
    }
    return table;
}

static Row* table() {
    static Row* rows = new_table();
    return rows;
}

void count(Quantity what, int device, long by) {
    Guard guard(lock());
    table()[what].on[device] += by;
}

static std::string readable(const char* mangled) {
    int status = 0;
    char* text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string result = status == 0 ? text : mangled;
    free(text);
    return result;
}

void count_launch(const void* kernel) {
    launches[kernel]++;
}

void name_kernel(const void* kernel, const char* name) {
    Guard guard(lock());
    names[kernel] = name;
}

}  // namespace fake

using namespace fake;

extern "C" {

// All counts to nothing, but which devices have a context.
void fake_reset() {
    Guard guard(lock());
    for (int what = 0; what < QUANTITIES; what++) {
        if (what != CONTEXTS) {
            memset(table()[what].on, 0, sizeof table()[what].on);
        }
    }
    launches.clear();
}

// One quantity on a device; device -1: on all. -1 where there is no such quantity.
long fake_count(const char* what, int device) {
    Guard guard(lock());
    for (int row = 0; row < QUANTITIES; row++) {
        if (strcmp(what, NAMES[row]) != 0) {
            continue;
        }
        const long* on = table()[row].on;
        long sum = 0;
        for (int each = 0; each < MOST_DEVICES; each++) {
            sum += device < 0 || each == device ? on[each] : 0;
        }
        return sum;
    }
    return -1;
}

long fake_kernels() {
    return fake_count("kernels", -1);
}

// "quantity TAB device TAB count" of what is not 0, then "K TAB kernel TAB launches" of so many kernels, the commonest
// first.
const char* fake_report(int top) {
    Guard guard(lock());
    static std::string text;
    text.clear();
    for (int row = 0; row < QUANTITIES; row++) {
        for (int device = 0; device < MOST_DEVICES; device++) {
            if (long number = table()[row].on[device]) {
                text += std::string(NAMES[row]) + "\t" + std::to_string(device) + "\t" + std::to_string(number) + "\n";
            }
        }
    }
    std::vector<std::pair<long, std::string>> ordered;
    for (auto& [kernel, number] : launches) {
        auto known = names.find(kernel);
        const char* name = known == names.end() ? static_cast<const char*>(kernel) : known->second.c_str();
        ordered.emplace_back(-number, readable(name).substr(0, KERNEL_NAME));
    }
    std::sort(ordered.begin(), ordered.end());
    for (size_t i = 0; i < ordered.size() && i < static_cast<size_t>(std::max(top, 0)); i++) {
        text += "K\t" + ordered[i].second + "\t" + std::to_string(-ordered[i].first) + "\n";
    }
    return text.c_str();
}
}
