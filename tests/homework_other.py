"""Right solutions of the assignments, written in another way than the reference: vectors for loops, loops for vectors, recursion,
other orders of summing. File -> the functions that are asked for, as source."""

OTHER = {"hw1": {
    "minicnn/ops/relu.py": ['''
def relu_forward_ref(x, mask):
    return np.where(x < 0, np.zeros_like(x), x), np.greater(x, 0)
''', '''
def relu_backprop_ref(on, dout):
    return dout * on
'''],
    "minicnn/ops/conv2d.py": ['''
def conv2d_forward_ref(x, w, b, stride, padding, dilation, groups):
    N, C, H, W = x.shape
    F, CG, KH, KW = w.shape
    OH, OW = window_output_size("conv2d", (H, W), (KH, KW), stride, padding, dilation)
    out = np.zeros((N, F, OH, OW), x.dtype)
    for f in range(F):
        first = (f * groups // F) * CG
        for c in range(CG):
            for k in range(KH):
                for l in range(KW):
                    for i in range(OH):
                        h = i * stride[0] + k * dilation[0] - padding[0]
                        for j in range(OW):
                            v = j * stride[1] + l * dilation[1] - padding[1]
                            if 0 <= h < H and 0 <= v < W:
                                out[:, f, i, j] += w[f, c, k, l] * x[:, first + c, h, v]
    return out + b[None, :, None, None]
''', '''
def conv2d_backward_bias_ref(dout):
    return np.einsum("nfij->f", dout)
'''],
    "minicnn/ops/conv2d_backward.py": ['''
def conv2d_backward_input_ref(dout, w, x_size, stride, padding, dilation, groups):
    N, F, OH, OW = dout.shape
    CG, KH, KW = w.shape[1:]
    dx = np.zeros((N, CG * groups, *x_size))
    share = F // groups
    for g in range(groups):
        for k, l in np.ndindex(KH, KW):
            part = np.einsum("nfij,fc->ncij", dout[:, g * share:(g + 1) * share], w[g * share:(g + 1) * share, :, k, l])
            for i, j in np.ndindex(OH, OW):
                h, v = i * stride[0] + k * dilation[0] - padding[0], j * stride[1] + l * dilation[1] - padding[1]
                if 0 <= h < x_size[0] and 0 <= v < x_size[1]:
                    dx[:, g * CG:(g + 1) * CG, h, v] += part[:, :, i, j]
    return dx
''', '''
def conv2d_backward_weight_ref(dout, x, w_shape, stride, padding, dilation, groups):
    F, CG, KH, KW = w_shape
    OH, OW = dout.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    dw = np.zeros(w_shape)
    for f, c, k, l in np.ndindex(*w_shape):
        rows = slice(k * dilation[0], k * dilation[0] + (OH - 1) * stride[0] + 1, stride[0])
        columns = slice(l * dilation[1], l * dilation[1] + (OW - 1) * stride[1] + 1, stride[1])
        dw[f, c, k, l] = (padded[:, f // (F // groups) * CG + c, rows, columns] * dout[:, f]).sum()
    return dw
'''],
    "minicnn/ops/max_pool2d.py": ['''
def max_pool2d_forward_ref(x, kernel, stride, padding, out_size):
    N, C, H, W = x.shape
    out, switches = np.zeros((N, C, *out_size)), np.zeros((N, C, *out_size), int)
    place = np.arange(H * W).reshape(H, W)
    for i in range(out_size[0]):
        for j in range(out_size[1]):
            top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
            rows, columns = slice(max(0, top), top + kernel[0]), slice(max(0, left), left + kernel[1])
            window = x[:, :, rows, columns].reshape(N, C, -1)
            winner = np.argmax(window, axis=2)
            out[:, :, i, j] = np.take_along_axis(window, winner[..., None], 2)[..., 0]
            switches[:, :, i, j] = place[rows, columns].ravel()[winner]
    return out, switches
''', '''
def max_pool2d_backward_ref(dout, switches, x_size, window):
    N, C = dout.shape[:2]
    flat = np.zeros((N * C, x_size[0] * x_size[1]))
    np.add.at(flat, (np.arange(N * C)[:, None], switches.reshape(N * C, -1)), dout.reshape(N * C, -1))
    return flat.reshape(N, C, *x_size)
'''],
    "minicnn/tape.py": ['''
def topological_order(root, turned=False):
    uses, todo, nodes = {root: 0}, [root], []
    while todo:
        for parent in todo.pop().parents:
            if parent is not None:
                if parent not in uses:
                    uses[parent] = 0
                    todo.append(parent)
                uses[parent] += 1
    ready = [root]
    while ready:
        node = ready.pop()
        nodes.append(node)
        for parent in node.parents:
            if parent is not None:
                uses[parent] -= 1
                if uses[parent] == 0:
                    ready.append(parent)
    return nodes
''', '''
def backward_steps(tensor, seed=None, retain_graph=True):
    root = tensor.node
    if root is None:
        raise TapeError("nothing was recorded")
    arrived = {root: [_checked_seed(tensor, seed)]}
    for node in topological_order(root):
        if node not in arrived:
            continue
        dout = sum(arrived.pop(node))
        if node.keeps_grad:
            node.accumulate(dout)
        if node.op is not None:
            dinputs = node.op.backward(node.ctx, dout)
            for parent, grad in zip(node.parents, dinputs):
                if parent is not None and grad is not None:
                    arrived.setdefault(parent, []).append(grad)
            yield BackwardStep(node.op.__name__, dout, tuple(dinputs))
''']},
    "hw2": {
    "minicnn/ops/relu.py": ['''
def relu_deconvnet_ref(on, dout):
    return np.maximum(dout, 0)
''', '''
def relu_guided_ref(on, dout):
    return np.where(on, np.maximum(dout, 0), 0)
'''],
    "minicnn/visualize/backprop.py": ['''
def unit_seed(activation, unit, value=1.0):
    data = activation.data
    mask = np.zeros(data.shape, bool)
    mask[0][unit] = True
    return np.where(mask, data if value == "activation" else value, 0.0)
''', '''
def backproject(net, x, layer, seed, rule="backprop"):
    picture = Tensor(np.array(x), requires_grad=True)
    top = net.activations(picture)[layer]
    if callable(seed):
        seed = seed(top)
    with tape.relu_rule(rule):
        (top * seed).sum().backward()
    return picture.grad[0]
'''],
    "minicnn/visualize/saliency.py": ['''
def saliency_map(net, x, class_index):
    from ..tensor import Tensor
    picture = Tensor(np.array(x), requires_grad=True)
    scores = net.activations(picture)[net.class_layer]
    score = scores[0, class_index]
    (score.sum() * (1 / score.size)).backward()
    return np.stack([np.abs(plane) for plane in picture.grad[0]]).max(axis=0)
'''],
    "minicnn/visualize/deconvnet.py": ['''
def deconvnet(net, x, layer, seed):
    with tape.no_grad():
        found = net.activations(x)
    maps = {"data": np.asarray(x), **{name: a.data for name, a in found.items()}}
    if callable(seed):
        seed = seed(Tensor(maps[layer]))
    waiting = {layer: seed}
    for name in list(net.layers)[::-1]:
        if name in waiting:
            step, sources = net.layers[name]
            for source, share in zip(sources, _down(step, name, waiting.pop(name), [maps[s] for s in sources])):
                waiting[source] = share + waiting.get(source, 0)
    return waiting["data"][0]
''', '''
def _down(layer, name, signal, inputs):
    x = inputs[0]
    if isinstance(layer, Conv2d):
        return [_transposed(layer, signal, x.shape[2:])]
    if isinstance(layer, Linear):
        return [np.einsum("nk,kd->nd", signal, layer.parameters["weight"].data)]
    if isinstance(layer, Concat):
        parts, first = [], 0
        for i in inputs:
            parts.append(signal[:, first:first + i.shape[1]])
            first += i.shape[1]
        return parts
    if layer.op is ops.relu:
        return [signal * (signal > 0)]
    if layer.op is ops.max_pool2d:
        return [_unpooled(signal, x, layer.settings)]
    return [signal.reshape(x.shape)]
''', '''
def _transposed(layer, signal, size):
    below = Tensor(np.zeros((len(signal), layer.parameters["weight"].shape[1] * layer.settings["groups"], *size)),
                   requires_grad=True)
    ops.conv2d(below, layer.parameters["weight"], **layer.settings).backward(signal)
    return below.grad
''', '''
def _unpooled(signal, x, settings):
    below = Tensor(x, requires_grad=True)
    ops.max_pool2d(below, **settings).backward(signal)
    return below.grad
'''],
    "minicnn/visualize/class_model.py": ['''
def simonyan(weight, lr, steps=500):
    return Settings(steps, lr=lr / (1 - lr * 2 * weight), decay=weight * lr + lr * weight)
''', '''
def tidied(x, gradient, settings, step):
    rate = settings.lr
    if settings.progress > 0:
        rate = min(rate, settings.progress / np.sum(gradient * gradient))
    new = x + rate * gradient
    new = new - settings.decay * new
    if settings.blur > 0 and not step % settings.blur_every:
        new = images.gaussian_blur(new, settings.blur)
    for measure, percentile in ((lambda: np.linalg.norm(new, axis=1), settings.small_norm),
                                (lambda: np.abs(np.sum(new * gradient, axis=1)), settings.small_contribution)):
        values = measure()
        new = np.where(values[:, None] < np.percentile(values, percentile), 0, new)
    return new
''']},
    "hw3": {
    "minicnn/embed/affinities.py": ['''
def conditional_ref(distances, sigma):
    N = len(distances)
    p = np.zeros((N, N))
    for i in range(N):
        others = [j for j in range(N) if j != i]
        e = np.exp(-distances[i, others] ** 2 / (2 * sigma[i] ** 2))
        p[i, others] = e / e.sum()
    return p
''', '''
def next_beta(excess, beta, low, high):
    low, high = (beta, high) if excess > 0 else (low, beta)
    return min(2 * beta, 1e300) if high == np.inf else 0.5 * (low + high), low, high
''', '''
def _bisection_cpu(exponents, p, betas, goal, tolerance):
    def entropy(d, beta):
        w = np.exp(-beta * (d - d.min()))
        q = w / w.sum()
        return -np.sum(q[q > 0] * np.log(q[q > 0])), q
    for i, d in enumerate(exponents):
        low, high = np.log(betas[i]) - 30, np.log(betas[i]) + 30         # bisection of ln beta
        for _ in range(100):
            middle = (low + high) / 2
            if entropy(d, np.exp(middle))[0] > goal:
                low = middle
            else:
                high = middle
        betas[i] = np.exp((low + high) / 2)
        p[i] = entropy(d, betas[i])[1]
'''],
    "minicnn/embed/sne.py": ['''
def gaussian_ref(Y, symmetric=False):
    N = len(Y)
    Q = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            if i != j:
                Q[i, j] = -np.sum((Y[i] - Y[j]) ** 2)
            else:
                Q[i, j] = -np.inf
    Q = np.exp(Q - (Q.max() if symmetric else Q.max(axis=1)[:, None]))
    return Q / (Q.sum() if symmetric else Q.sum(axis=1)[:, None])
''', '''
def sne_divergence(P, Y, symmetric=False):
    Q, total = gaussian_ref(Y, symmetric), 0.0
    for p, q in zip(P.ravel(), Q.ravel()):
        if p > 0:
            total += p * np.log(p / max(q, 2.3e-308))
    return total
''', '''
def sne_gradient_ref(P, Y, symmetric=False):
    difference = P - gaussian_ref(Y, symmetric)
    both = difference + difference.T
    return 2 * (both.sum(axis=1)[:, None] * Y - both @ Y)
'''],
    "minicnn/embed/tsne.py": ['''
def student_ref(Y):
    square = np.sum(Y ** 2, axis=1)
    w = 1 / (1 + np.array([[np.sum((a - b) ** 2) for b in Y] for a in Y]))
    return w * (1 - np.eye(len(square)))
''', '''
def tsne_divergence_ref(P, Y):
    w = student_ref(Y)
    total, Z = 0.0, w.sum()
    for i, j in np.ndindex(*P.shape):
        if P[i, j] > 0:
            total += P[i, j] * (np.log(P[i, j]) - np.log(w[i, j]) + np.log(Z))
    return total
''', '''
def tsne_gradient_ref(P, Y):
    w = student_ref(Y)
    Z, gradient = w.sum(), np.zeros_like(Y)
    for i in range(len(Y)):
        for j in range(len(Y)):
            if i != j:
                gradient[i] += 4 * (P[i, j] - w[i, j] / Z) * w[i, j] * (Y[i] - Y[j])
    return gradient
'''],
    "minicnn/embed/descent.py": ['''
def _descent_cpu(Y, moves, gains, gradient, learning_rate, momentum):
    differ = np.sign(gradient) != np.sign(moves)
    gains[:] = np.where(differ, gains + 0.2, np.maximum(gains * 0.8, 0.01))
    moves[:] = momentum * moves - learning_rate * gains * gradient
    Y += moves
'''],
    "minicnn/embed/quadtree.py": ['''
def insert(self, index):
    def put(node, point):
        self._weigh(node, point)
        if any(c >= 0 for c in self.child[node]):
            put(self._quarter(node, point), point)
            return
        self.members[node].append(point)
        if len(self.members[node]) > self.leaf_size and self.level[node] < LEVELS:
            for other in self.members[node]:
                put(self._quarter(node, other), other)
            self.members[node] = []
    put(0, index)
''', '''
def _quarter(self, node, index):
    bit = 1 << (LEVELS - 1 - self.level[node])
    which = (1 if self.address[index][0] & bit else 0) + (2 if self.address[index][1] & bit else 0)
    if self.child[node][which] == -1:
        for column, value in ((self.count, 0), (self.center_of_mass, np.zeros(2)), (self.level, self.level[node] + 1),
                              (self.members, [])):
            column.append(value)
        self.child.append([-1, -1, -1, -1])
        self.child[node][which] = len(self.child) - 1
    return self.child[node][which]
''', '''
def _weigh(self, node, index):
    total = self.center_of_mass[node] * self.count[node] + self.points[index]
    self.count[node] += 1
    self.center_of_mass[node] = total / self.count[node]
'''],
    "minicnn/embed/barnes_hut.py": ['''
def cells_used(tree, y, theta=0.5):
    def look(node):
        x0, y0 = tree.corner[node]
        side = tree.width[node]
        inside = x0 <= y[0] <= x0 + side and y0 <= y[1] <= y0 + side
        if not inside and side / np.hypot(*(y - tree.center_of_mass[node])) < theta:
            return [node], []
        children = [c for c in tree.child[node] if c != -1]
        if not children:
            return [], [node]
        seen = [look(c) for c in children]
        return sum((far for far, _ in seen), []), sum((near for _, near in seen), [])
    return look(0)
''', '''
def repulsion_ref(tree, theta=0.5):
    repulsion, Z = np.zeros_like(tree.points), 0.0
    for i in range(len(tree.points)):
        far, near = cells_used(tree, tree.points[i], theta)
        single = np.concatenate([tree.points_in(node) for node in near] + [np.zeros(0, int)]).astype(int)
        single = single[single != i]
        places = np.concatenate([tree.center_of_mass[far].reshape(-1, 2), tree.points[single]])
        mass = np.concatenate([np.asarray(tree.count)[far].ravel(), np.ones(len(single))])
        spring = tree.points[i] - places
        w = 1 / (1 + (spring ** 2).sum(axis=1))
        repulsion[i] = ((mass * w ** 2)[:, None] * spring).sum(axis=0)
        Z += (mass * w).sum()
    return repulsion, Z
''', '''
def attraction_ref(P, Y):
    P = P.toarray()
    attraction = np.zeros(Y.shape)
    for i, j in np.argwhere(P):
        spring = Y[i] - Y[j]
        attraction[i] += P[i, j] * spring / (1 + np.dot(spring, spring))
    return attraction
''']},
    "hw4": {
    "minicnn/art/deepdream.py": ['''
def objective_L2(dst):
    return dst.copy()
''', '''
def make_step(net, src, end, *, step_size=1.5, jitter=32, clip=True, objective=objective_L2, tile=None, rng):
    if tile is not None and max(src.shape[2:]) <= tile:
        tile = None
    low, high = images.pixel_range(net.preprocessing)
    most = tile or jitter
    ox, oy = generator("deepdream", rng).integers(-most, most + 1, 2)
    moved = np.roll(src, (oy, ox), axis=(2, 3))
    ends, g, energy, count = _ends(net, end), np.zeros(src.shape), 0.0, 0
    for rows, columns in _tiles(src.shape[2:], tile):
        x = Tensor(np.ascontiguousarray(moved[:, :, rows, columns].astype(net.dtype)), requires_grad=True)
        acts = net.activations(x, upto=last_of(net, ends))
        goal = 0
        for name, weight in ends.items():
            goal = goal + (acts[name] * acts[name]).sum() * (0.5 * weight)
            energy += 0.5 * weight * (acts[name].data ** 2).sum()
            count += acts[name].size
        goal.backward()
        g[:, :, rows, columns] = x.grad
    moved = moved + step_size * (high - low) / 255 / np.mean(np.abs(g)) * g
    moved = np.roll(moved, (-oy, -ox), axis=(2, 3))
    return (moved.clip(low, high) if clip else moved).astype(np.float32), energy / count
''', '''
def _octave_sizes(size, octaves, octave_scale, steps):
    return [(round(size[0] / octave_scale ** k), round(size[1] / octave_scale ** k)) for k in reversed(range(octaves))]
''', '''
def deepdream_steps(net, image, layer, *, octaves=1, octave_scale=1.4, steps=10, clip=True, pre_relu=False, guide=None, rng,
                    start=None, **settings):
    rng = generator("deepdream", rng)
    whole = net.preprocess(image, whole=True).data
    sizes = _octave_sizes(whole.shape[2:], octaves, octave_scale, steps)
    src, step, octave = _resize_planes(whole, sizes[0]), 0, 0
    yield DreamState(0, 0, _shown(net, src, clip), np.nan, src.copy())
    while True:
        if step == steps * (octave + 1) and octave + 1 < octaves:
            dreamt = src - _resize_planes(whole, sizes[octave])
            octave += 1
            src = _resize_planes(whole, sizes[octave]) + _resize_planes(dreamt, sizes[octave])
        src, loss = make_step(net, src, layer, clip=clip, rng=rng, **settings)
        step += 1
        yield DreamState(step, octave, _shown(net, src, clip), loss, src.copy())
'''],
    "minicnn/ops/gram_matrix.py": ['''
def gram_matrix_forward_ref(features):
    return np.stack([F @ F.T for F in features])
''', '''
def gram_matrix_backward_ref(dout, features):
    return np.einsum("nab,nbi->nai", dout, features) + np.einsum("nab,nai->nbi", dout, features)
'''],
    "minicnn/ops/total_variation.py": ['''
def total_variation_forward_ref(x, beta):
    r, d = np.zeros_like(x), np.zeros_like(x)
    r[:, :, :, :-1], d[:, :, :-1] = np.diff(x, axis=3), np.diff(x, axis=2)
    v = r ** 2 + d ** 2
    terms = v ** (beta / 2)
    if beta < 2:
        terms = np.where(v < GUARD, v * GUARD ** (beta / 2 - 1), terms)
    return np.float64(terms.sum())
''', '''
def total_variation_backward_ref(x, beta):
    r, d = np.zeros_like(x), np.zeros_like(x)
    r[:, :, :, :-1], d[:, :, :-1] = np.diff(x, axis=3), np.diff(x, axis=2)
    v = r ** 2 + d ** 2
    with np.errstate(divide="ignore"):
        slope = beta * v ** (beta / 2 - 1) if beta != 2 else 2 * np.ones_like(v)
    if beta < 2:
        slope = np.where(v < GUARD, 2 * GUARD ** (beta / 2 - 1), slope)
    r, d = r * slope, d * slope
    dx = -r - d
    dx[:, :, :, 1:] += r[:, :, :, :-1]
    dx[:, :, 1:] += d[:, :, :-1]
    return dx
'''],
    "minicnn/art/perceptual_loss.py": ['''
def of(self, p):
    N, _, H, W = p.shape
    maps = self.net.activations(p * to_network(self.net), upto=self.upto)
    content = style = 0.0
    for name, (P, weight) in self.content.items():
        difference = maps[name] - P
        content = content + (difference * difference * weight).sum() * (1 / N)
    for name, (A, weight) in self.style.items():
        _, C, h, w = maps[name].shape
        difference = ops.gram_matrix(maps[name]) * (1 / (C * h * w)) - A
        style = style + (difference * difference * weight).sum() * (1 / N)
    self.parts = tuple(part.item() if isinstance(part, Tensor) else part for part in (content, style))
    return content + style + ops.total_variation(p) * (self.tv_weight / (255 ** 2 * H * W * N))
''', '''
def _scaled(targets, relative, factor):
    scaled = {}
    for name, (target, weight) in targets.items():
        weights = []
        for one in target:
            size = float((one ** 2).sum())
            weights.append(weight * factor if not relative else weight / size if size else 0.0)
        scaled[name] = target, np.array(weights).reshape(-1, *(1 for _ in target.shape[1:]))
    return scaled
''']},
    "hw5": {
    "minicnn/fool/adversarial.py": ['''
def fgsm(net, pixels, labels, epsilon=0.007):
    _, gradient, _ = loss_gradient(net, pixels, labels)
    up, down = (gradient > 0).astype(float), (gradient < 0).astype(float)
    return np.minimum(1, np.maximum(0, pixels + epsilon * up - epsilon * down))
''', '''
def distortion(changed, pixels):
    return np.array([np.linalg.norm((a - b).ravel()) / np.sqrt(a.size) for a, b in zip(changed, pixels)])
''', '''
def measure(x):
    J, slope, _ = loss_gradient(net, x.astype(net.dtype), np.array([target]), rectified=False)
    return J[0] + c * np.sum((x - pixels) ** 2), slope + 2 * c * (x - pixels)
''', '''
def lbfgs_attack_steps(net, pixels, target, *, c=1.0, inner=20, confidence=0.5):
    state, fooled_at, failed_at, start = _state(net, pixels, pixels, target, 0, 0.0, confidence), [], [], pixels
    while True:
        yield state
        found = last(take(inner, lbfgs_steps(_objective(net, pixels, target, c), start, bounds=(0, 1)))).x
        state = _state(net, pixels, found, target, state.step + 1, c, confidence)
        (fooled_at if state.fools else failed_at).append(c)
        if state.fools:
            start = found
        if not failed_at:
            c *= 10
        elif not fooled_at:
            c /= 10
        else:
            c = np.exp((np.log(fooled_at[-1]) + np.log(failed_at[-1])) / 2)
'''],
    "minicnn/fool/pgd.py": ['''
def pgd_steps(net, pixels, labels, epsilon=2 / 255, *, relative_step=0.025, random_start=True, rng=0):
    rng, step, p = generator("pgd", rng), 0, pixels.astype(net.dtype)

    def projected(p):
        return np.clip(pixels + np.clip(p - pixels, -epsilon, epsilon), 0, 1)
    if random_start:
        p = projected(p + rng.uniform(-epsilon, epsilon, pixels.shape))
    while True:
        _, gradient, scores = loss_gradient(net, p, labels)
        yield PgdState(step, p.copy(), scores.argmax(axis=1) != labels)
        p = projected(p + epsilon * relative_step * np.sign(gradient))
        step += 1
'''],
    "minicnn/fool/gradient.py": ['''
def _measured(net, pixels, classes):
    found = []
    for picture, wanted in zip(pixels, classes):
        p = Tensor(picture[None], requires_grad=True)
        acts = net.activations(to_input(net, p))
        own = ops.softmax(acts[next(reversed(acts))], dim=1)
        below = ops.softmax(over_places(acts[net.class_layer]), dim=1)
        chosen = (own if own.data[0, wanted] > SEEN else below)[0, int(wanted)]
        chosen.backward()
        found.append((chosen.item(), p.grad[0], own.data[0, wanted], own.data[0].argmax() == wanted))
    return tuple(np.array(part) for part in zip(*found))
''', '''
def fooling_steps(net, classes, *, early=0.3, late=1.0, momentum=0.9, decay=0.0, goal=0.9999, size=None, rng=0):
    size, classes = picture_size("fooling", net, size), _classes(net, classes)
    mean, count = mean_colour(net), len(classes)
    noise = generator("fooling", rng).standard_normal((count, mean.size, *size)) / 255
    pixels, step = (mean + noise).clip(0, 1).astype(net.dtype), 0
    reached, slope = np.full((len(MARKS), count), -1), np.zeros_like(pixels)
    confidence, wins, climbed = np.zeros(count), np.zeros(count, bool), np.zeros(count)
    awake, moving = np.ones(count, bool), np.zeros_like(pixels)
    while True:
        for k in np.flatnonzero(awake):
            one = slice(k, k + 1)
            climbed[one], slope[one], confidence[one], wins[one] = _measured(net, pixels[one], classes[one])
        yield FoolingState(step, pixels.copy(), confidence.copy(), wins.copy(), reached.copy())
        awake = (confidence < goal) | (goal == 1)
        for k in np.flatnonzero(awake):
            P = climbed[k]
            moving[k] = momentum * moving[k] + min(early, late * (1 - P), P) / (slope[k] ** 2).sum() * slope[k]
            pixels[k] = np.clip(mean[0] + (1 - decay) * (pixels[k] + moving[k] - mean[0]), 0, 1)
        step += 1
'''],
    "minicnn/fool/map_elites.py": ['''
def child_of(elites, encoding, generation, rng):
    a, b = rng.integers(len(elites), size=2)
    genome = elites[a]
    if rng.random() < encoding.crossover:
        genome = encoding.crossed(elites[a], elites[b], rng)
    return encoding.mutated(genome, rng, generation)
''', '''
def offered(state, genomes, judged):
    fitness, elites, new = state.fitness.copy(), list(state.elites), set()
    for genome, values in zip(genomes, judged):
        for k, value in enumerate(values):
            if value > fitness[k]:
                fitness[k], elites[k] = value, genome
                new.add(k)
    return MapElitesState(state.step + 1, fitness, tuple(elites), len(new))
'''],
    "minicnn/fool/linear.py": ['''
def worst_changes(w, epsilon):
    return np.array([epsilon * sum(abs(number) for number in one.ravel()) for one in w])
''', '''
def nearest_border(scores, w):
    classes, epsilons = [], []
    for s in scores:
        c = int(s.argmax())
        others = {k: (s[c] - s[k]) / np.abs(w[k] - w[c]).sum() for k in range(len(s)) if k != c}
        k = min(others, key=others.get)
        classes.append(k)
        epsilons.append(others[k])
    return np.array(classes), np.array(epsilons)
''', '''
def loss(self, p, y, epsilon=0.0):
    return np.mean([np.log1p(np.exp(-label * (picture @ self.w + self.b) + epsilon * np.linalg.norm(self.w, 1)))
                    for picture, label in zip(p, y)])
''', '''
def worst(self, p, y, epsilon):
    return np.stack([picture - epsilon * label * np.sign(self.w) for picture, label in zip(p, y)])
''']}}
