// Memory of the devices, which is the host's own and is never written: whatever is copied back to the host is zeros.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "fake.h"

namespace fake {

constexpr size_t DEFAULT_MEMORY = 85'000'000'000;  // bytes of each device, of an H100 with 80 GB
constexpr size_t CONTEXT = 500'000'000;            // bytes that a context takes of it

struct Block {
    size_t size;
    int device;
    bool pinned;  // on the host, for copies that do not wait
};

static std::map<const char*, Block> blocks;
static size_t used[MOST_DEVICES];

size_t device_memory() {
    static const char* given = getenv("FAKE_MEMORY");
    return given ? strtoull(given, nullptr, 10) : DEFAULT_MEMORY;
}

// With FAKE_MEMORY all of it can be had; else a context takes its part, as it does in truth.
static size_t free_memory(int device) {
    size_t context = getenv("FAKE_MEMORY") ? 0 : CONTEXT;
    size_t taken = used[device] + context;
    return device_memory() > taken ? device_memory() - taken : 0;
}

static const Block* block_of(const void* address) {
    auto after = blocks.upper_bound(static_cast<const char*>(address));
    if (after == blocks.begin()) {
        return nullptr;
    }
    auto& [start, block] = *--after;
    return static_cast<const char*>(address) < start + block.size ? &block : nullptr;
}

static bool on_device(const void* address) {
    const Block* block = block_of(address);
    return block && !block->pinned;
}

static bool pinned(const void* address) {
    const Block* block = block_of(address);
    return block && block->pinned;
}

static cudaError_t allocate(void** address, size_t size, bool pinned) {
    Guard guard(lock());
    int device = current_device();
    touch(device);
    if (size == 0) {
        *address = nullptr;
        return cudaSuccess;
    }
    if (!pinned && size > free_memory(device)) {
        return remember(cudaErrorMemoryAllocation);
    }
    void* room = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return remember(cudaErrorMemoryAllocation);
    }
    blocks[static_cast<char*>(room)] = {size, device, pinned};
    used[device] += pinned ? 0 : size;
    *address = room;
    return cudaSuccess;
}

static cudaError_t release(const char* call, void* address) {
    Guard guard(lock());
    auto found = blocks.find(static_cast<char*>(address));
    if (address == nullptr) {
        return cudaSuccess;
    }
    if (found == blocks.end()) {
        return refuse(call, cudaErrorInvalidValue, "this was never allocated");
    }
    Block block = found->second;
    used[block.device] -= block.pinned ? 0 : block.size;
    munmap(address, block.size);
    blocks.erase(found);
    return cudaSuccess;
}

struct Copied {
    cudaError_t error;
    bool to_host;  // what arrives there is zeros
};

// A copy of any kind is put on a stream.
static Copied copy(const char* call, void* to, const void* from, cudaStream_t handle) {
    Guard guard(lock());
    log_call(call);
    bool to_host = !on_device(to);
    bool from_host = !on_device(from);
    bool pageable = (to_host && !pinned(to)) || (from_host && !pinned(from));
    Stream& stream = stream_of(handle);
    if (stream.capture && pageable) {
        stream.capture->broken = true;
        return {refuse(call, cudaErrorStreamCaptureUnsupported, "memory of the host that is not pinned, in a capture"),
                false};
    }
    Taken taken = take_up(call, handle);
    if (taken.error != cudaSuccess) {
        return {taken.error, false};
    }
    count(COPIES, taken.device);
    if (!taken.captured && from_host) {
        count(COPIES_TO_DEVICE, taken.device);
    }
    if (!taken.captured && to_host) {
        count(COPIES_TO_HOST, taken.device);
    }
    return {cudaSuccess, to_host && !taken.captured};
}

static cudaError_t copy_bytes(const char* call, void* to, const void* from, size_t size, cudaStream_t stream) {
    Copied done = copy(call, to, from, stream);
    if (done.to_host && on_device(from)) {
        memset(to, 0, size);
    } else if (done.to_host) {
        memcpy(to, from, size);
    }
    return done.error;
}

static cudaError_t fill(const char* call, cudaStream_t stream) {
    Guard guard(lock());
    log_call(call);
    Taken taken = take_up(call, stream);
    if (taken.error == cudaSuccess) {
        count(COPIES, taken.device);
    }
    return taken.error;
}

}  // namespace fake

using namespace fake;

extern "C" {

cudaError_t cudaMalloc(void** address, size_t size) {
    log_call("cudaMalloc");
    cudaError_t error = while_capturing("cudaMalloc");
    return error ? error : allocate(address, size, false);
}

cudaError_t cudaFree(void* address) {
    log_call("cudaFree");
    cudaError_t error = while_capturing("cudaFree");
    return error ? error : release("cudaFree", address);
}

cudaError_t cudaHostAlloc(void** address, size_t size, unsigned) {
    cudaError_t error = while_capturing("cudaHostAlloc");
    return error ? error : allocate(address, size, true);
}

cudaError_t cudaMallocHost(void** address, size_t size) {
    return cudaHostAlloc(address, size, 0);
}

cudaError_t cudaFreeHost(void* address) {
    cudaError_t error = while_capturing("cudaFreeHost");
    return error ? error : release("cudaFreeHost", address);
}

cudaError_t cudaMemGetInfo(size_t* left, size_t* total) {
    Guard guard(lock());
    touch(current_device());
    *left = free_memory(current_device());
    *total = device_memory();
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
    Guard guard(lock());
    const Block* block = block_of(address);
    *attributes = {};
    attributes->type = !block ? cudaMemoryTypeUnregistered : block->pinned ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    attributes->device = block ? block->device : -1;
    attributes->devicePointer = block ? const_cast<void*>(address) : nullptr;
    attributes->hostPointer = block && block->pinned ? const_cast<void*>(address) : nullptr;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t stream) {
    return copy_bytes("cudaMemcpyAsync", to, from, size, stream);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, cudaStream_t stream) {
    return copy_bytes("cudaMemcpyPeerAsync", to, from, size, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t pitch, const void* from, size_t, size_t width, size_t height,
                              cudaMemcpyKind, cudaStream_t stream) {
    Copied done = copy("cudaMemcpy2DAsync", to, from, stream);
    for (size_t row = 0; done.to_host && row < height; row++) {
        memset(static_cast<char*>(to) + row * pitch, 0, width);
    }
    return done.error;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind) {
    cudaError_t error = while_capturing("cudaMemcpy");
    count(SYNCHRONISATIONS, current_device());
    return error ? error : copy_bytes("cudaMemcpy", to, from, size, nullptr);
}

cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t stream) {
    return fill("cudaMemsetAsync", stream);
}

cudaError_t cudaMemset(void*, int, size_t) {
    cudaError_t error = while_capturing("cudaMemset");
    return error ? error : fill("cudaMemset", nullptr);
}
}
