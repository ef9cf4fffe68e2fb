// Streams, events, captures and graphs. What is put on a stream is done at once; what is put on a captured one is a
// node.
#include <pthread.h>
#include <time.h>

#include <set>

#include "fake.h"

namespace fake {

static std::set<Capture*> captures;
static unsigned long long captures_begun = 0;
static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

struct Event {
    int device;
    bool timing;
    bool recorded = false;
    double milliseconds = 0;
    unsigned long long capture = 0;  // the id of the one in which it was last recorded; 0: in none
    Stream* stream = nullptr;        // there
    long nodes = 0;                  // that the stream had then that were not joined
};

static unsigned long this_thread() {
    return static_cast<unsigned long>(pthread_self());
}

static double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

bool any_capture() {
    Guard guard(lock());
    return !captures.empty();
}

Stream& stream_of(cudaStream_t handle) {
    static Stream* defaults = [] {
        Stream* made = new Stream[MOST_DEVICES];
        for (int device = 0; device < MOST_DEVICES; device++) {
            made[device].device = device;
            made[device].is_default = true;
        }
        return made;
    }();
    bool is_default = handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
    return is_default ? defaults[current_device()] : *reinterpret_cast<Stream*>(handle);
}

// As cudaThreadExchangeStreamCaptureMode describes it.
static bool forbids(const Capture& capture) {
    if (thread_mode == cudaStreamCaptureModeRelaxed) {
        return false;
    }
    if (capture.thread == this_thread()) {
        return capture.mode != cudaStreamCaptureModeRelaxed;
    }
    return thread_mode == cudaStreamCaptureModeGlobal && capture.mode == cudaStreamCaptureModeGlobal;
}

cudaError_t while_capturing(const char* call) {
    Guard guard(lock());
    bool forbidden = false;
    for (Capture* capture : captures) {
        if (forbids(*capture)) {
            capture->broken = true;
            forbidden = true;
        }
    }
    return forbidden ? refuse(call, cudaErrorStreamCaptureUnsupported, "a stream is being captured") : cudaSuccess;
}

static cudaError_t default_stream_in_capture(const char* call) {
    for (Capture* capture : captures) {
        if (capture->origin->waits_for_default) {
            capture->broken = true;
            return refuse(call, cudaErrorStreamCaptureImplicit, "the default stream would wait for a captured one");
        }
    }
    return cudaSuccess;
}

Taken take_up(const char* call, cudaStream_t handle, long nodes) {
    Guard guard(lock());
    Stream& stream = stream_of(handle);
    touch(stream.device);
    cudaError_t error = stream.is_default ? default_stream_in_capture(call) : cudaSuccess;
    Capture* capture = stream.capture;
    if (capture && capture->broken) {
        error = remember(cudaErrorStreamCaptureInvalidated);
    }
    if (error == cudaSuccess && capture) {
        capture->graph->nodes += nodes;
        count(CAPTURED_NODES, stream.device, nodes);
        stream.unjoined += nodes;
    }
    return {error, stream.device, capture != nullptr};
}

static cudaError_t wait_for(const char* call, Stream* stream, int device) {
    Guard guard(lock());
    log_call(call);
    touch(device);
    count(SYNCHRONISATIONS, device);
    if (stream && stream->capture) {
        stream->capture->broken = true;
        return refuse(call, cudaErrorStreamCaptureUnsupported, "the stream is being captured");
    }
    return while_capturing(call);
}

static cudaStream_t new_stream(unsigned flags) {
    touch(current_device());
    Stream* stream = new Stream;
    stream->device = current_device();
    stream->waits_for_default = !(flags & cudaStreamNonBlocking);
    return reinterpret_cast<cudaStream_t>(stream);
}

static Event* event_of(cudaEvent_t handle) {
    return reinterpret_cast<Event*>(handle);
}

static Capture* capture_with(unsigned long long id) {
    for (Capture* capture : captures) {
        if (capture->id == id) {
            return capture;
        }
    }
    return nullptr;
}

// Every stream that joined a capture leaves it; whether all had led back to the first.
static std::set<Stream*> all_streams;

static bool leave(Capture* capture) {
    bool joined = true;
    for (Stream* stream : all_streams) {
        if (stream->capture == capture) {
            joined = joined && (stream == capture->origin || stream->unjoined == 0);
            stream->capture = nullptr;
            stream->unjoined = 0;
        }
    }
    return joined;
}

}  // namespace fake

using namespace fake;

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* handle, unsigned flags, int) {
    Guard guard(lock());
    *handle = new_stream(flags);
    all_streams.insert(&stream_of(*handle));
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
    return cudaStreamCreateWithPriority(handle, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* handle) {
    return cudaStreamCreateWithPriority(handle, 0, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    Guard guard(lock());
    Stream* stream = &stream_of(handle);
    if (all_streams.erase(stream)) {
        delete stream;
    }
    return cudaSuccess;
}

cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
    *priority = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    Stream& stream = stream_of(handle);
    return wait_for("cudaStreamSynchronize", &stream, stream.device);
}

cudaError_t cudaDeviceSynchronize() {
    Guard guard(lock());
    for (Capture* capture : captures) {
        if (capture->origin->device == current_device()) {
            return wait_for("cudaDeviceSynchronize", capture->origin, current_device());
        }
    }
    return wait_for("cudaDeviceSynchronize", nullptr, current_device());
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    Guard guard(lock());
    if (Capture* capture = capture_with(event_of(handle)->capture)) {
        capture->broken = true;
        return refuse("cudaEventSynchronize", cudaErrorCapturedEvent, "the event was recorded in a capture");
    }
    return wait_for("cudaEventSynchronize", nullptr, event_of(handle)->device);
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
    Guard guard(lock());
    Stream& stream = stream_of(handle);
    if (stream.capture) {
        stream.capture->broken = true;
        return refuse("cudaStreamQuery", cudaErrorStreamCaptureUnsupported, "the stream is being captured");
    }
    return while_capturing("cudaStreamQuery");
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
    Guard guard(lock());
    if (Capture* capture = capture_with(event_of(handle)->capture)) {
        capture->broken = true;
        return refuse("cudaEventQuery", cudaErrorCapturedEvent, "the event was recorded in a capture");
    }
    return while_capturing("cudaEventQuery");
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
    touch(current_device());
    *handle = reinterpret_cast<cudaEvent_t>(new Event{current_device(), !(flags & cudaEventDisableTiming)});
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) {
    return cudaEventCreateWithFlags(handle, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    delete event_of(handle);
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t handle, cudaStream_t stream_handle, unsigned flags) {
    Guard guard(lock());
    log_call("cudaEventRecord");
    Stream& stream = stream_of(stream_handle);
    Event& event = *event_of(handle);
    if (event.device != stream.device) {
        return refuse("cudaEventRecord", cudaErrorInvalidResourceHandle, "the event and the stream are of two devices");
    }
    Capture* capture = flags & cudaEventRecordExternal ? nullptr : stream.capture;
    if (capture && capture->broken) {
        return remember(cudaErrorStreamCaptureInvalidated);
    }
    count(EVENTS, stream.device);
    event.recorded = !capture;
    event.milliseconds = now();
    event.capture = capture ? capture->id : 0;
    event.stream = &stream;
    event.nodes = stream.unjoined;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return cudaEventRecordWithFlags(event, stream, 0);
}

// Of the host's clock when the events were recorded: no device ever takes any time.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    Event& first = *event_of(start);
    Event& last = *event_of(end);
    if (!first.recorded || !last.recorded || !first.timing || !last.timing || first.device != last.device) {
        return refuse("cudaEventElapsedTime", cudaErrorInvalidResourceHandle,
                      "no two recorded events with times of one device");
    }
    *milliseconds = static_cast<float>(last.milliseconds - first.milliseconds);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
    Guard guard(lock());
    Stream& stream = stream_of(handle);
    Event& event = *event_of(event_handle);
    Capture* capture = capture_with(event.capture);
    if (!capture && stream.capture && event.recorded) {
        stream.capture->broken = true;
        return refuse("cudaStreamWaitEvent", cudaErrorStreamCaptureIsolation,
                      "a captured stream would wait for what is not");
    }
    if (!capture) {
        return cudaSuccess;
    }
    if (stream.is_default || (stream.capture && stream.capture != capture)) {
        capture->broken = true;
        return refuse("cudaStreamWaitEvent", cudaErrorStreamCaptureMerge,
                      "two captures, or one and the default stream, would meet");
    }
    stream.capture = capture;  // it joins
    if (event.stream != &stream && event.stream->unjoined == event.nodes) {
        stream.unjoined += event.stream->unjoined;
        event.stream->unjoined = 0;
    }
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    cudaStreamCaptureMode before = thread_mode;
    thread_mode = *mode;
    *mode = before;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    Guard guard(lock());
    log_call("cudaStreamBeginCapture");
    Stream& stream = stream_of(handle);
    if (stream.is_default) {
        return refuse("cudaStreamBeginCapture", cudaErrorStreamCaptureUnsupported,
                      "the default stream cannot be captured");
    }
    if (stream.capture) {
        return refuse("cudaStreamBeginCapture", cudaErrorIllegalState, "the stream is being captured already");
    }
    Graph* graph = new Graph;
    graph->device = stream.device;
    stream.capture = new Capture{++captures_begun, mode, this_thread(), &stream, graph};
    captures.insert(stream.capture);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    Guard guard(lock());
    log_call("cudaStreamEndCapture");
    *graph = nullptr;
    Capture* capture = stream_of(handle).capture;
    if (!capture || capture->origin != &stream_of(handle)) {
        return refuse("cudaStreamEndCapture", cudaErrorStreamCaptureUnmatched, "no capture began on this stream");
    }
    bool joined = leave(capture);
    captures.erase(capture);
    Capture ended = *capture;
    delete capture;
    if (ended.broken || !joined) {
        delete ended.graph;
        cudaError_t error = ended.broken ? cudaErrorStreamCaptureInvalidated : cudaErrorStreamCaptureUnjoined;
        return refuse("cudaStreamEndCapture", error,
                      ended.broken ? "something in it was refused" : "a stream did not come back");
    }
    count(CAPTURES, ended.graph->device);
    *graph = reinterpret_cast<cudaGraph_t>(ended.graph);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
    Guard guard(lock());
    Stream& stream = stream_of(handle);
    *status = !stream.capture          ? cudaStreamCaptureStatusNone
              : stream.capture->broken ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
    return stream.is_default ? default_stream_in_capture("cudaStreamIsCapturing") : cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* number) {
    Guard guard(lock());
    cudaError_t error = cudaStreamIsCapturing(handle, status);
    Capture* capture = stream_of(handle).capture;
    if (id && capture) {
        *id = capture->id;
    }
    if (graph) {
        *graph = capture ? reinterpret_cast<cudaGraph_t>(capture->graph) : nullptr;
    }
    if (dependencies) {
        *dependencies = nullptr;
    }
    if (edges) {
        *edges = nullptr;
    }
    if (number) {
        *number = 0;
    }
    return error;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* number) {
    *number = reinterpret_cast<Graph*>(graph)->nodes;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
    *made = reinterpret_cast<cudaGraphExec_t>(new Graph(*reinterpret_cast<Graph*>(graph)));
    return while_capturing("cudaGraphInstantiate");
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long flags) {
    return cudaGraphInstantiateWithFlags(made, graph, flags);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete reinterpret_cast<Graph*>(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete reinterpret_cast<Graph*>(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream) {
    Guard guard(lock());
    log_call("cudaGraphLaunch");
    Graph& graph = *reinterpret_cast<Graph*>(handle);
    Taken taken = take_up("cudaGraphLaunch", stream);
    if (taken.error == cudaSuccess && !taken.captured) {
        count(GRAPH_LAUNCHES, graph.device);
        count(REPLAYED_NODES, graph.device, graph.nodes);
    }
    return taken.error;
}
}
