// What the parts of the pretended runtime share: what is counted, how a call is refused, and where work on a stream
// goes.
#pragma once

#include <cuda_runtime_api.h>

#include <mutex>

namespace fake {

constexpr int MOST_DEVICES = 8;

// Counted per device. The names by which tests ask for them are in counters.cpp, in the same order.
enum Quantity {
    KERNELS,           // launched by the host, captured or not; those that a graph replays are apart
    COPIES,            // copies and fills of every kind, captured or not
    COPIES_TO_DEVICE,  // of these, from the host and not captured
    COPIES_TO_HOST,    // of these, to the host and not captured
    SYNCHRONISATIONS,  // the host waits for a device, a stream or an event, or for a copy
    EVENTS,            // recorded
    CAPTURES,          // that ended well
    CAPTURED_NODES,    // kernels, copies and fills that a capture took up
    STRAY_LAUNCHES,    // kernels on a stream that is not captured while another one is
    GRAPH_LAUNCHES,
    REPLAYED_NODES,
    REFUSED,   // calls that got an error
    CONTEXTS,  // 1 once anything was done on the device
    QUANTITIES
};

void count(Quantity what, int device, long by = 1);

// One lock for everything: the host's time per call stays far below what real CUDA takes.
std::recursive_mutex& lock();
using Guard = std::lock_guard<std::recursive_mutex>;

int device_count();
int current_device();    // of this thread
void touch(int device);  // the device is used: it has a context from now on
bool has_context(int device);
void log_call(const char* call);                                           // on stderr where FAKE_LOG is set
cudaError_t refuse(const char* call, cudaError_t error, const char* why);  // counted, and said on stderr
cudaError_t remember(cudaError_t error);                                   // for cudaGetLastError; without a word

struct Graph {
    long nodes = 0;
    int device = 0;
};

struct Stream;

struct Capture {
    unsigned long long id;
    cudaStreamCaptureMode mode;
    unsigned long thread;
    Stream* origin;
    Graph* graph;
    bool broken = false;  // something was refused: nothing more is taken up, and the end of the capture is an error
};

struct Stream {
    int device = 0;
    bool is_default = false;         // the legacy stream of a device
    bool waits_for_default = false;  // created without cudaStreamNonBlocking
    Capture* capture = nullptr;
    long unjoined = 0;  // nodes since the stream joined a capture that no event led back to
};

struct Taken {
    cudaError_t error;  // cudaSuccess: it may go on the stream
    int device;
    bool captured;  // it became a node of a graph instead of running
};

Stream& stream_of(cudaStream_t handle);  // 0, 1 and 2 mean the default stream of this thread's device
Taken take_up(const char* call, cudaStream_t handle, long nodes = 1);
cudaError_t launch(const char* kernel, cudaStream_t handle);
cudaError_t while_capturing(const char* call);  // an error where a capture forbids this thread calls such as cudaMalloc
bool any_capture();

// Of the libraries' handles: the device they were made on and the stream they were given.
struct Handle {
    int device;
    cudaStream_t stream;
};

}  // namespace fake

// For the generated stubs.
extern "C" {
long fake_library_kernel(const char* name, void* handle);
long fake_unknown(const char* name);
}
