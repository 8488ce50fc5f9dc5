// Shows the notes of the API, and adds to them.
const list = document.getElementById("notes");

async function show() {
  const notes = await (await fetch("/api/notes")).json();
  list.replaceChildren(...notes.map((note) => {
    const item = document.createElement("li");
    item.textContent = note.text;
    return item;
  }));
}

document.getElementById("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  await fetch("/api/notes", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: form.text.value }),
  });
  form.reset();
  await show();
});

show();
