exports = function () {
  const a = ;
};
