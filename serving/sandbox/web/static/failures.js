// Why a request has no picture, in words, and at which field.

const BY_STATUS = {
  400: "The app did not accept this request.",
  401: "The session is over: run `lorasmith sandbox open` again.",
  403: "This account may not call the app.",
  404: "There is no such app or endpoint.",
  413: "The request is larger than the app takes.",
  422: "The app refused this input; what is wrong stands at the fields.",
  429: "Too much waits already. The app is well: send it again in a moment.",
  499: "The request was cancelled.",
  500: "The app failed on this request.",
  502: "The app failed on this request.",
  503: "No runner could take the request.",
  504: "The request took longer than the app allows.",
};
const BY_TYPE = {
  content_policy_violation: "This is against the app's content policy, so nothing was made.",
  runner_scheduling_failure: "No runner came up for this app: its setup failed. The log below says why.",
  startup_timeout: "No runner was ready in time.",
  runner_disconnected: "The runner ended during the request.",
};

// {title, retry, complaints: [{path, text}], rest: [text]}; body is the parsed answer, or null.
export function failure(status, body, headers) {
  const details = Array.isArray(body?.detail) ? body.detail : [];
  const complaints = details.map(({ loc = [], msg = "" }) => ({ path: loc.filter(part => part !== "body"), text: msg }));
  const type = details.find(detail => BY_TYPE[detail.type])?.type ?? body?.error_type ?? headers.get("x-fal-error-type");
  const after = Number(headers.get("retry-after"));
  const wait = status === 429 && after ? ` It asks to wait ${after} s.` : "";
  return {
    title: (BY_TYPE[type] ?? BY_STATUS[status] ?? `The answer was status ${status}.`) + wait,
    retry: status === 429 || status >= 500,
    complaints,
    rest: typeof body?.detail === "string" ? [body.detail] : [],
  };
}
