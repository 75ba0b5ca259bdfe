// Before the first paint: an address that asks for something begins with room for the answer, so that nothing moves.
if (location.search) {
	document.body.dataset.state = "looking";
	document.body.classList.add("begun");
}
