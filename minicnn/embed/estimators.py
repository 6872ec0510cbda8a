"""SNE and t-SNE with the face of scikit-learn: TSNE(perplexity=30).fit_transform(X). See sne.py, tsne.py."""
import inspect
import sys
from itertools import islice

import numpy as np
import tqdm

from ..checks import generator, number, whole_number
from ..errors import SettingError
from .affinities import dense_affinities, sparse_affinities
from .checks import as_points, rate
from .descent import start_of
from .sne import sne_steps
from .transform import transform_steps
from .tsne import method_for, tsne_steps


class Estimator:
    """What SNE and TSNE share: settings by name, the run with its bar, callback and Ctrl-C, fit and fit_transform.

    Settings are kept as they were given and looked at in `fit`, as scikit-learn's pipelines expect.
    """

    def get_params(self, deep=True):
        """Return the settings by name."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def set_params(self, **settings):
        """Change settings by name; return self."""
        unknown = sorted(set(settings) - set(self.get_params()))
        if unknown:
            raise SettingError(f"{type(self).__name__} has no setting {unknown[0]!r}; it has {', '.join(self.get_params())}")
        self.__init__(**{**self.get_params(), **settings})
        return self

    def __repr__(self):
        """The settings that are not the default ones."""
        default = {name: setting.default for name, setting in inspect.signature(type(self).__init__).parameters.items()}
        given = (f"{name}={value!r}" for name, value in self.get_params().items() if value is not default[name])
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self):
        """What scikit-learn's pipelines ask an estimator; so only they need scikit-learn."""
        from sklearn.utils import Tags, TargetTags, TransformerTags
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags())

    def fit(self, X, y=None):
        """Make the map of the points X (N, D), or of distances (N, N) with metric="precomputed"; return self. y is not used.

        Then embedding_ (N, n_components), kl_divergence_, n_iter_. After Ctrl-C they are those of the map so far.
        Raises ShapeError, SettingError, UnknownNameError; MinicnnError where the map flies apart.
        """
        X = self._checked(X)
        self.points_ = X.copy()         # for transform, whatever becomes of X
        if len(X) == 1:
            self.embedding_, self.kl_divergence_, self.n_iter_ = np.zeros((1, self.n_components), np.float32), 0.0, 0
            return self
        state = self._run(self._states(X), type(self).__name__)
        self.embedding_, self.n_iter_ = state.embedding, state.step
        self.kl_divergence_ = state.kl_divergence
        return self

    def fit_transform(self, X, y=None):
        """Return the map of the points X as (N, n_components)."""
        return self.fit(X).embedding_

    def _checked(self, X):
        name = type(self).__name__
        X = as_points(name, X)
        if self.metric == "precomputed" and X.shape[0] != X.shape[1]:
            raise SettingError(f"{name}: metric is 'precomputed', but X {X.shape} is no matrix of distances (N, N)")
        number(name, "perplexity", self.perplexity, at_least=1)
        whole_number(name, "max_iter", self.max_iter, 0)
        whole_number(name, "n_components", self.n_components, 1)
        rate(name, self.learning_rate)
        generator(name, self.random_state)
        if self.callback is not None and not callable(self.callback):
            raise SettingError(f"{name}: callback is {self.callback!r}, expected a function of a MapState, or None")
        return X

    def _start(self, X, rng):
        by_name = isinstance(self.init, str)
        init = "random" if by_name and self.init == "pca" and self.metric == "precomputed" else self.init
        return start_of(X, init, self.n_components, rng)

    def _run(self, states, what):
        """Run `max_iter` steps; return the last state, after Ctrl-C the one that was reached."""
        state = None
        with tqdm.tqdm(total=self.max_iter, desc=what, disable=not self.verbose, leave=False) as bar:
            try:
                for state in islice(states, self.max_iter + 1):
                    bar.update(state.step - bar.n)
                    if self.verbose and state.step % 50 == 0:
                        bar.set_postfix(KL=f"{state.kl_divergence:.4f}")
                    stop = self.callback is not None and self.callback(state)
                    if isinstance(stop, (bool, np.bool_)) and stop:
                        break
            except KeyboardInterrupt:
                if state is None:
                    raise
                print(f"{what}: stopped by Ctrl-C after {state.step} of {self.max_iter} steps; the map so far is kept",
                      file=sys.stderr)
        return state


class TSNE(Estimator):
    """t-SNE. Slide "More on t-SNE".

    n_components: of the map. perplexity: the effective number of neighbours. early_exaggeration, learning_rate ("auto"), theta,
    method ("auto", "barnes_hut", "fft", "exact"): see tsne_steps; angle: scikit-learn's name for theta.
    max_iter: steps, of which the first 250 are exaggerated. init: "pca", "random" or an array (N, n_components).
    metric: see nearest_neighbors ("precomputed" starts at random). kernel: "gaussian", "laplace", see affinities.py.
    method "exact" takes all neighbours into account, the others each point's 3 x perplexity nearest.
    random_state: a seed or Generator, for init="random". verbose: show a bar. callback: called with every MapState; if it returns
    True, the run ends.
    """

    def __init__(self, n_components=2, perplexity=30.0, *, early_exaggeration=12.0, learning_rate="auto", max_iter=1000,
                 init="pca", metric="euclidean", kernel="gaussian", method="auto", theta=0.5, angle=None, random_state=0,
                 verbose=False, callback=None):
        self.n_components, self.perplexity, self.early_exaggeration = n_components, perplexity, early_exaggeration
        self.learning_rate, self.max_iter, self.init, self.metric = learning_rate, max_iter, init, metric
        self.kernel, self.method, self.theta, self.angle = kernel, method, theta, angle
        self.random_state, self.verbose, self.callback = random_state, verbose, callback

    @property
    def _theta(self):
        return number("TSNE", "theta", self.theta if self.angle is None else self.angle, at_least=0)

    def _checked(self, X):
        X = super()._checked(X)
        method_for(self.method, (len(X), self.n_components))
        number("TSNE", "early_exaggeration", self.early_exaggeration, at_least=1)
        return X

    def _states(self, X):
        start, theta = self._start(X, self.random_state), self._theta
        P = sparse_affinities(X, self.perplexity, metric=self.metric, kernel=self.kernel,
                              neighbors=len(X) - 1 if self.method == "exact" else None)
        return tsne_steps(P, start, method=self.method, theta=theta, early_exaggeration=self.early_exaggeration,
                          learning_rate=self.learning_rate)

    def transform(self, X, max_iter=100):
        """Return places (M, n_components) of new points X (M, D) on the map, which stays as it is: see transform.py.

        Whatever the method, by Barnes-Hut, with each point's 3 x perplexity nearest neighbours. metric="precomputed": X (M, N)
        are the distances to the points of the map. Raises ShapeError, SettingError.
        """
        if not hasattr(self, "embedding_") or len(self.embedding_) < 2:
            raise SettingError("TSNE.transform: there is no map yet of more than one point; call fit first")
        whole_number("TSNE.transform", "max_iter", max_iter, 0)
        states = transform_steps(self.points_, self.embedding_, X, perplexity=self.perplexity, metric=self.metric,
                                 kernel=self.kernel, theta=self._theta)
        for state in islice(states, max_iter + 1):
            pass
        return state.embedding.astype(self.embedding_.dtype)


class SNE(Estimator):
    """SNE, or symmetric SNE with symmetric=True. Slide "t-SNE and SNE".

    All pairs of points are computed with: for some thousands of points. noise, learning_rate ("auto"): see sne_steps; the rest
    as for TSNE.
    """

    def __init__(self, n_components=2, perplexity=30.0, *, symmetric=False, learning_rate="auto", max_iter=1000, noise=0.1,
                 init="pca", metric="euclidean", random_state=0, verbose=False, callback=None):
        self.n_components, self.perplexity, self.symmetric = n_components, perplexity, symmetric
        self.learning_rate, self.max_iter, self.noise, self.init, self.metric = learning_rate, max_iter, noise, init, metric
        self.random_state, self.verbose, self.callback = random_state, verbose, callback

    def _states(self, X):
        rng = generator("SNE", self.random_state)       # first for the start, then for the noise
        start, P = self._start(X, rng), dense_affinities(X, self.perplexity, self.metric, self.symmetric)
        return sne_steps(P, start, symmetric=self.symmetric, learning_rate=self.learning_rate, noise=self.noise, rng=rng)
