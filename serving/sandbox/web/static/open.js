// The page of a link: it trades the token, which stands in the fragment and so in no request's address, for a session.

import { enter, remember } from "./page.js";

const token = location.pathname === "/sandbox/open" ? location.hash.slice(1) : "";
if (token) {
  history.replaceState(null, "", "/sandbox/open");
  enter(token).catch(error => {
    const refusal = document.getElementById("refusal");
    refusal.textContent = error.message;
    refusal.hidden = false;
  });
} else {
  remember();
}
